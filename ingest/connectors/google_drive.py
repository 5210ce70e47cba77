"""Google Drive: the files of shared drives and of people's own drives, and who may read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from pydantic import Field, SecretStr

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from governance.access.rules import Decision
from ingest.connectors.api import Answer, Patience
from ingest.connectors.cursors import Cursor, fingerprint, read_cursor
from ingest.connectors.google_client import DRIVE, Delegation, ServiceAccount, google_api, listed, reasons
from ingest.connectors.google_directory import Directory
from ingest.connectors.google_settings import GoogleDriveSettings
from ingest.connectors.google_sharing import Readers
from ingest.connectors.protocol import Account, CursorExpired, Group, Listed, Page, denied

_VERSION = 1
_NATIVE = "application/vnd.google-apps."
_FOLDER = _NATIVE + "folder"
_OPEN_XML = "application/vnd.openxmlformats-officedocument."
EXPORTED: Mapping[str, tuple[str, str]] = {
    _NATIVE + "document": (_OPEN_XML + "wordprocessingml.document", ".docx"),
    _NATIVE + "spreadsheet": (_OPEN_XML + "spreadsheetml.sheet", ".xlsx"),
    _NATIVE + "presentation": (_OPEN_XML + "presentationml.presentation", ".pptx"),
    _NATIVE + "drawing": ("application/pdf", ".pdf"),
}
"""What Google's own documents are fetched as: media type and suffix (Drive API: export formats)."""
# A shortcut is listed where what it leads to is.
_LEFT_OUT = frozenset({_FOLDER, _NATIVE + "shortcut", _NATIVE + "drive-sdk"})
_PERMISSIONS = "permissions(id,type,role,emailAddress,domain,allowFileDiscovery,deleted,expirationTime,view)"
_FILE = (
    "id,name,mimeType,md5Checksum,modifiedTime,trashed,webViewLink,driveId,ownedByMe,parents,capabilities/canDownload,"
    f"hasAugmentedPermissions,inheritedPermissionsDisabled,permissionIds,{_PERMISSIONS}"
)
_WITH_DRIVES = {"supportsAllDrives": "true", "includeItemsFromAllDrives": "true"}
# Google says 400, 404 or 410 of a page token that it has forgotten or cannot read.
_EXPIRED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_TOO_LARGE = "exportSizeLimitExceeded"
# What Google says of somebody whose administrators have given them no Drive.
_NO_DRIVE = "domainPolicy"


class _Cursor(Cursor):
    """Where each drive's changes go on; while one is being read, its next page, and which were read before it.

    `begun` is where the changes of a drive go on that is being listed from its beginning.
    """

    since: dict[str, str] = Field(default_factory=dict)
    at: str = ""
    page: str = ""
    begun: str = ""
    done: tuple[str, ...] = ()
    whole: bool = True


@dataclass(frozen=True)
class _Corpus:
    """A shared drive or somebody's own files: its id, and in whose name it is read."""

    id: str
    subject: str = field(repr=False)
    is_shared_drive: bool

    def holds(self, file: Mapping[str, Any]) -> bool:
        """Whether a file lies in it now; somebody's own list of changes names what others have shared with them too."""
        return not file.get("trashed") and (self.is_shared_drive or bool(file.get("ownedByMe")))


class _Closed(Exception):
    """Somebody has no drive of their own."""


@dataclass(frozen=True)
class _Files:
    """A page of files, those that are not there any more, and where to go on."""

    files: Sequence[Mapping[str, Any]]
    gone: Sequence[str]
    next_page: str
    since: str


class GoogleDrive:
    """Drives of one organization. A document is `DRIVE/FILE`; a person's own drive bears the id of their account.

    A version is the hash of a file's bytes; of Google's own documents, which have no bytes, the time of the last edit.
    """

    mirrors_permissions = True

    def __init__(
        self,
        settings: GoogleDriveSettings,
        secret: SecretStr,
        patience: Patience | None = None,
        max_document_bytes: int = 100_000_000,
    ) -> None:
        patience = patience or Patience()
        self._settings, self._limit = settings, max_document_bytes
        self._account = ServiceAccount(secret, settings.token_url, patience)
        self._directory = Directory(self._account, settings, patience)
        self._speaks_for = Delegation(self._account, DRIVE, settings.admin)
        self._api = google_api("Google Drive", settings.drive_url, self._speaks_for, patience)
        named = (sorted(settings.shared_drives), sorted(settings.users))
        self._of = fingerprint("google-drive", _VERSION, settings.customer, settings.drive_url, *named)

    def __repr__(self) -> str:
        return f"GoogleDrive({self._settings.customer!r})"

    def changes(self, cursor: str | None) -> Iterator[Page]:
        state = read_cursor(_Cursor, cursor, self._of) if cursor is not None else _Cursor(of=self._of)
        self._directory.forget()
        corpora = {corpus.id: corpus for corpus in self._corpora()}
        if not state.whole and state.since.keys() - corpora.keys():
            raise CursorExpired("a drive is not there any more")
        readers = self._directory.readers()
        todo = [corpus for key, corpus in sorted(corpora.items()) if key not in state.done]
        for corpus in todo:
            shared: dict[object, Decision] = {}
            while True:
                anew = not state.since.get(corpus.id)
                try:
                    state = self._begun(state, corpus, anew)
                    files = self._files(state, corpus, anew)
                except _Closed as error:
                    if not anew:
                        raise CursorExpired("a drive is not there any more") from error
                    files = _Files((), (), "", "")
                whole, last = state.whole, not files.next_page and corpus is todo[-1]
                state = _turned(state, corpus, files, last)
                taken, refused = self._listed(corpus, files.files, readers, shared)
                yield Page(taken, str(state), [f"{corpus.id}/{one}" for one in files.gone], whole, last, refused)
                if not files.next_page:
                    break
        if not todo:
            yield Page((), str(_Cursor(of=self._of, since=state.since, whole=False)), whole=state.whole, last=True)

    def fetch(self, document: Listed) -> bytes:
        corpus, _, file = document.external_id.partition("/")
        subject, export = self._subject(corpus), document.reference
        if subject is None:
            raise NotFound("file of Google Drive", document.external_id)
        self._speaks_for.subject = subject
        path = f"files/{quote(file, safe='')}"
        params = {"mimeType": export} if export else {"alt": "media", "supportsAllDrives": "true"}
        answer = self._api.request(
            "GET",
            f"{path}/export" if export else path,
            params=params,
            headers={"Accept": "*/*"},
            accepted=frozenset({HTTPStatus.FORBIDDEN}),
            limit=self._limit,
        )
        if answer.status == HTTPStatus.FORBIDDEN:
            raise _withheld(answer)
        return answer.data

    def permissions(self) -> Iterator[Sequence[tuple[str, Decision]]]:
        self._directory.forget()
        readers = self._directory.readers()
        for corpus in self._corpora():
            page, shared = "", dict[object, Decision]()
            while True:
                try:
                    files = self._all_files(corpus, page, "")
                except CursorExpired as error:
                    raise Transient("Google Drive broke off the listing of a drive; sync again.") from error
                except _Closed:
                    break
                there = [file for file in files.files if _why_not(file) is None]
                yield [(_external_id(corpus, file), self._decided(corpus, file, readers, shared)) for file in there]
                page = files.next_page
                if not page:
                    break

    def groups(self) -> Iterator[Group]:
        self._directory.forget()
        yield from self._directory.groups()

    def accounts(self) -> Iterator[Account]:
        self._directory.forget()
        yield from self._directory.accounts()

    def close(self) -> None:
        self._api.close()
        self._directory.close()
        self._account.close()

    def _corpora(self) -> list[_Corpus]:
        """Every drive that the settings name, and that is there."""
        corpora = [_Corpus(drive, self._reader, True) for drive in self._shared_drives()]
        people = self._directory.people()
        by_address = {address: person.id for person in people.values() for address in person.addresses}
        for user in self._settings.users:
            named = sorted(people) if user == "*" else [user if user in people else by_address.get(user.lower(), "")]
            corpora += [_Corpus(key, people[key].email, False) for key in named if key]
        if not corpora:
            raise SourceRefused(
                "Google has none of the shared drives and users in the settings that may be read; correct their names, "
                "or make the reader a member of the shared drives."
            )
        return list({corpus.id: corpus for corpus in corpora}.values())

    @property
    def _reader(self) -> str:
        return self._settings.reader or self._settings.admin

    def _shared_drives(self) -> Iterator[str]:
        self._speaks_for.subject = self._reader
        for drive in self._settings.shared_drives:
            if drive == "*":
                params = {"pageSize": 100, "fields": "nextPageToken,drives(id)"}
                yield from (str(one["id"]) for one in listed(self._api, "drives", "drives", params))
                continue
            try:
                yield str(self._api.get(f"drives/{quote(drive, safe='')}", {"fields": "id"})["id"])
            except NotFound:
                continue

    def _subject(self, corpus: str) -> str | None:
        """In whose name a drive is read; None where it was somebody's who is not there any more."""
        person = self._directory.people().get(corpus)
        if person is not None:
            return person.email
        return self._reader if self._settings.shared_drives else None

    def _begun(self, state: _Cursor, corpus: _Corpus, anew: bool) -> _Cursor:
        """The cursor with where a drive's changes go on once it is listed: asked before its first file is."""
        if not anew or state.at == corpus.id:
            return state
        params = {"supportsAllDrives": "true", "fields": "startPageToken"}
        given = self._asked_of(corpus, "changes/startPageToken", params | _drive_of(corpus)).json
        return state.model_copy(update={"at": corpus.id, "page": "", "begun": str(given["startPageToken"])})

    def _files(self, state: _Cursor, corpus: _Corpus, anew: bool) -> _Files:
        """The next page of a drive."""
        page = state.page if state.at == corpus.id else ""
        if anew:
            return self._all_files(corpus, page, state.begun)
        return self._changed_files(corpus, page or state.since[corpus.id])

    def _all_files(self, corpus: _Corpus, page: str, since: str) -> _Files:
        where: dict[str, str] = {"q": "trashed = false", "corpora": "drive", **_WITH_DRIVES, **_drive_of(corpus)}
        if not corpus.is_shared_drive:
            where = {"q": "'me' in owners and trashed = false", "corpora": "user"}
        fields = f"nextPageToken,incompleteSearch,files({_FILE})"
        got = self._page(corpus, "files", page, {**where, "spaces": "drive", "fields": fields})
        if got.get("incompleteSearch"):
            raise Transient("Google Drive has not searched all of a drive; sync again.")
        return _Files(got.get("files") or (), (), _next(got), since)

    def _changed_files(self, corpus: _Corpus, page: str) -> _Files:
        fields = f"nextPageToken,newStartPageToken,changes(changeType,fileId,removed,file({_FILE}))"
        where = {**_WITH_DRIVES, **_drive_of(corpus)} if corpus.is_shared_drive else {"supportsAllDrives": "true"}
        got = self._page(corpus, "changes", page, {**where, "includeRemoved": "true", "fields": fields})
        files: dict[str, Mapping[str, Any]] = {}
        gone: dict[str, None] = {}
        for change in got.get("changes") or ():
            if change.get("changeType") != "file":
                continue
            key, file = str(change["fileId"]), change.get("file") or {}
            # The same file may be named more than once; what is said of it last holds.
            files.pop(key, None)
            gone.pop(key, None)
            if not change.get("removed") and corpus.holds(file):
                files[key] = file
            elif file.get("mimeType") == _FOLDER and file.get("trashed"):
                raise CursorExpired("a folder was put into the bin, and with it what was in it")
            else:
                gone[key] = None
        return _Files(list(files.values()), list(gone), _next(got), str(got.get("newStartPageToken") or ""))

    def _page(self, corpus: _Corpus, path: str, page: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        asked = {**params, "pageSize": self._settings.page_files} | ({"pageToken": page} if page else {})
        answer = self._asked_of(corpus, path, asked, _EXPIRED if page else frozenset())
        if answer.status in _EXPIRED:
            raise CursorExpired(f"Google Drive no longer knows a page of a listing ({answer.status})")
        got: Mapping[str, Any] = answer.json
        return got

    def _asked_of(
        self, corpus: _Corpus, path: str, params: Mapping[str, Any], accepted: frozenset[int] = frozenset()
    ) -> Answer:
        """What Google answers in the name of whoever a drive is read as; raises `_Closed`."""
        self._speaks_for.subject = corpus.subject
        try:
            answer = self._api.request("GET", path, params=params, accepted=accepted | {HTTPStatus.FORBIDDEN})
        except NotFound as error:
            raise Transient("A drive has gone while Google Drive listed it; sync again.") from error
        if answer.status != HTTPStatus.FORBIDDEN:
            return answer
        if _NO_DRIVE in reasons(answer.data) and not corpus.is_shared_drive:
            raise _Closed
        raise SourceRefused(
            f"Google Drive refused GET {path} (403). Give the service account the delegation that docs/sources.md "
            "names, and make the reader a member of the shared drives."
        )

    def _listed(
        self,
        corpus: _Corpus,
        files: Sequence[Mapping[str, Any]],
        readers: Readers,
        shared: dict[object, Decision],
    ) -> tuple[list[Listed], list[tuple[str, str]]]:
        taken, refused = [], []
        for file in files:
            why = _why_not(file)
            if why:
                refused.append((_external_id(corpus, file), why))
            elif why is None:
                taken.append(_document(corpus, file, self._decided(corpus, file, readers, shared)))
        return taken, refused

    def _decided(
        self, corpus: _Corpus, file: Mapping[str, Any], readers: Readers, shared: dict[object, Decision]
    ) -> Decision:
        """Who may read a file.

        A listing tells the permissions of somebody's own files. Those of a file in a shared drive are asked, once for
        all files of a folder that name the same permissions.
        """
        now = datetime.now(UTC)
        if not corpus.is_shared_drive and "permissions" in file:
            return readers.decide(file["permissions"], now)
        told = file.get("permissionIds")
        key = (
            tuple(sorted(told)) if told else file["id"],
            tuple(file.get("parents") or ()),
            file.get("hasAugmentedPermissions"),
            file.get("inheritedPermissionsDisabled"),
        )
        if key not in shared:
            shared[key] = self._asked(corpus, file, readers, now)
        return shared[key]

    def _asked(self, corpus: _Corpus, file: Mapping[str, Any], readers: Readers, now: datetime) -> Decision:
        self._speaks_for.subject = corpus.subject
        params = {"supportsAllDrives": "true", "pageSize": 100, "fields": f"nextPageToken,{_PERMISSIONS}"}
        path = f"files/{quote(str(file['id']), safe='')}/permissions"
        try:
            return readers.decide(list(listed(self._api, path, "permissions", params)), now)
        except (SourceRefused, NotFound):
            return denied("Google Drive does not tell its permissions to whom it is read as")


def open_google_drive(
    settings: GoogleDriveSettings,
    secret: SecretStr | None,
    max_document_bytes: int = 100_000_000,
    patience: Patience | None = None,
) -> GoogleDrive:
    """The organization that the settings name. Raises `SourceRefused` without a secret."""
    if secret is None:
        raise SourceRefused("Google Drive asks for a service account's key, in JSON; name where it is kept.")
    return GoogleDrive(settings, secret, patience, max_document_bytes)


def _turned(state: _Cursor, corpus: _Corpus, files: _Files, last: bool) -> _Cursor:
    """The cursor once a page is taken."""
    if files.next_page:
        return state.model_copy(update={"at": corpus.id, "page": files.next_page})
    since = {**state.since, corpus.id: files.since}
    if last:
        return _Cursor(of=state.of, since=since, whole=False)
    left = {"since": since, "at": "", "page": "", "begun": "", "done": (*state.done, corpus.id)}
    return state.model_copy(update=left)


def _document(corpus: _Corpus, file: Mapping[str, Any], access: Decision) -> Listed:
    export, suffix = EXPORTED.get(file["mimeType"], ("", ""))
    name = str(file["name"])
    digest = str(file.get("md5Checksum") or "")
    return Listed(
        external_id=_external_id(corpus, file),
        name=name if name.lower().endswith(suffix) else name + suffix,
        uri=str(file.get("webViewLink") or ""),
        revision=f"md5:{digest}" if digest else f"modified:{file['modifiedTime']}",
        access=access,
        reference=export,
        hashed=bool(digest),
    )


def _why_not(file: Mapping[str, Any]) -> str | None:
    """Why a file is not brought in: a reason to be told, nothing for folders and shortcuts; None where it is."""
    kind = str(file["mimeType"])
    if kind in _LEFT_OUT:
        return ""
    if kind.startswith(_NATIVE) and kind not in EXPORTED:
        return f"Google hands out no file of a {kind.removeprefix(_NATIVE)}"
    if (file.get("capabilities") or {}).get("canDownload") is False:
        return "its owners let nobody download it who may only read it"
    return None


def _withheld(answer: Answer) -> UnreadableDocument:
    why = reasons(answer.data)
    if _TOO_LARGE in why:
        return UnreadableDocument(
            "too_large", "Google exports at most 10 MB of a document of its own; split it, or keep it as a file."
        )
    words = ", ".join(sorted(one for one in why if one.isalnum())) or "no reason given"
    return UnreadableDocument("unreadable", f"Google Drive refuses to hand it out ({words}).")


def _external_id(corpus: _Corpus, file: Mapping[str, Any]) -> str:
    return f"{corpus.id}/{file['id']}"


def _drive_of(corpus: _Corpus) -> dict[str, str]:
    return {"driveId": corpus.id} if corpus.is_shared_drive else {}


def _next(page: Mapping[str, Any]) -> str:
    return str(page.get("nextPageToken") or "")
