"""SharePoint and OneDrive, through Microsoft Graph: the files of libraries, and who may read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from governance.access.rules import Decision
from ingest.connectors.api import Patience
from ingest.connectors.cursors import Cursor, fingerprint, read_cursor
from ingest.connectors.graph_client import Graph, Reply, SignIn
from ingest.connectors.graph_directory import Directory, Site
from ingest.connectors.graph_pages import page_html
from ingest.connectors.graph_settings import GraphSettings
from ingest.connectors.graph_sharing import Readers
from ingest.connectors.protocol import Account, CursorExpired, Group, Listed, Page, denied

_VERSION = 1
_DRIVE = "$select=id,sharePointIds"
_LISTS = f"$select=id,list&$expand=drive({_DRIVE})"
_PAGES = "webPageLibrary"
_ASPX = ".aspx"
_HIERARCHY = "hierarchicalsharing"
"""The preference with which items tell whether their permissions differ from their folder's (driveItem: delta)."""


class _Cursor(Cursor):
    """Where each library's changes go on; while one is being read, its next page, and which were read before it."""

    since: dict[str, str] = Field(default_factory=dict)
    at: str = ""
    page: str = ""
    done: tuple[str, ...] = ()
    whole: bool = True


@dataclass(frozen=True)
class _Drive:
    """A library, and the collection of sites whose groups its permissions name; `pages` where it holds a site's pages.

    A page has permissions and changes as a file has, and content that another address tells.
    """

    id: str
    site: Site
    pages: bool = False

    def is_page(self, item: Mapping[str, Any]) -> bool:
        return self.pages and str(item.get("name") or "").lower().endswith(_ASPX)


@dataclass
class _Folders:
    """Who may read what lies in a library's folders, as far as that was found out in this listing."""

    drive: _Drive
    decisions: dict[str, Decision] = field(default_factory=dict)


@dataclass(frozen=True)
class _Answer:
    """A page of a library's changes; `hierarchy` says that it tells where permissions differ from the folder's."""

    items: Sequence[Mapping[str, Any]]
    next_page: str
    since: str
    hierarchy: bool


class SharePoint:
    """Libraries of sites and OneDrives of users in one tenant. A document is `LIBRARY/ITEM`, wherever it lies in it.

    A version is the item's cTag, which its content alone changes. A library or a folder that goes expires the cursor:
    a listing of everything then finds what went with it.
    """

    mirrors_permissions = True

    def __init__(
        self,
        settings: GraphSettings,
        secret: SecretStr,
        patience: Patience | None = None,
        max_document_bytes: int = 100_000_000,
    ) -> None:
        patience = patience or Patience()
        self._settings, self._limit = settings, max_document_bytes
        self._sign_in = SignIn(settings, secret, patience)
        self._graph = Graph(settings, self._sign_in, patience)
        self._directory = Directory(self._graph, self._sign_in, settings, patience)
        self._of = fingerprint(
            "graph",
            _VERSION,
            settings.tenant,
            settings.graph_url,
            sorted(settings.sites),
            sorted(settings.users),
            settings.pages,
        )

    def __repr__(self) -> str:
        return f"SharePoint({self._settings.tenant!r})"

    def changes(self, cursor: str | None) -> Iterator[Page]:
        state = read_cursor(_Cursor, cursor, self._of) if cursor is not None else _Cursor(of=self._of)
        self._directory.forget()
        drives = {drive.id: drive for drive in self._drives()}
        if not state.whole and state.since.keys() - drives.keys():
            raise CursorExpired("a library is not there any more")
        todo = [drive for key, drive in sorted(drives.items()) if key not in state.done]
        for drive in todo:
            # A library that is new since the last listing is read from its beginning.
            anew = drive.id not in state.since
            begun = state.page if state.at == drive.id else state.since.get(drive.id, "")
            folders = _Folders(drive)
            for answer in self._delta(drive, begun):
                whole, last = state.whole, not answer.next_page and drive is todo[-1]
                state = _turned(state, drive, answer, last)
                gone = () if anew else self._gone(drive, answer.items)
                listed, refused = self._listed(folders, answer, anew)
                yield Page(listed, str(state), gone, whole, last, refused)
        if not todo:
            yield Page((), str(_Cursor(of=self._of, since=state.since, whole=False)), whole=state.whole, last=True)

    def fetch(self, document: Listed) -> bytes:
        drive, _, item = document.external_id.partition("/")
        if document.reference == _PAGES:
            return self._fetched_page(drive, item)
        # Graph answers with an address on another host that needs no token, and is sent none.
        return self._graph.api.download(f"{self._published(_item_path(drive, item))}/content", self._limit)

    def permissions(self) -> Iterator[Sequence[tuple[str, Decision]]]:
        self._directory.forget()
        for drive in self._drives():
            folders = _Folders(drive)
            try:
                for answer in self._delta(drive, ""):
                    items = [item for item in answer.items if "deleted" not in item]
                    decided = self._decided(folders, items, answer.hierarchy)
                    yield [(_external_id(drive, item), decided[item["id"]]) for item in items if "file" in item]
            except CursorExpired as error:
                raise Transient("Microsoft Graph broke off the listing of a library; sync again.") from error

    def groups(self) -> Iterator[Group]:
        self._directory.forget()
        yield from self._directory.groups(dict.fromkeys(drive.site for drive in self._drives()))

    def accounts(self) -> Iterator[Account]:
        self._directory.forget()
        yield from self._directory.accounts()

    def close(self) -> None:
        self._directory.close()
        self._graph.close()
        self._sign_in.close()

    def _drives(self) -> list[_Drive]:
        """Every library that the settings name, and that is there."""
        sites = list(self._sites())
        libraries: list[Mapping[str, Any]] = []
        pages: list[Mapping[str, Any]] = []
        for reply in self._graph.answers([f"sites/{site}/drives?{_DRIVE}" for site in sites]):
            libraries += self._graph.whole(reply) if _is_there(reply) else []
        for reply in self._graph.answers([f"users/{user}/drive?{_DRIVE}" for user in self._users()]):
            libraries += [reply.body] if _is_there(reply) else []
        for reply in self._graph.answers([f"sites/{site}/lists?{_LISTS}" for site in sites if self._settings.pages]):
            lists = self._graph.whole(reply) if _is_there(reply) else []
            pages += [one["drive"] for one in lists if one["list"].get("template") == _PAGES and one.get("drive")]
        if not libraries:
            raise SourceRefused(
                "Microsoft Graph has no library of the sites and users in the settings that the application may read; "
                "correct their names, or give it the rights that docs/sources.md names."
            )
        drives = [_drive(library, False) for library in libraries] + [_drive(library, True) for library in pages]
        return list({drive.id: drive for drive in drives}.values())

    def _sites(self) -> Iterator[str]:
        """How Graph calls each of the sites."""
        for site in self._settings.sites:
            if site == "*":
                for found in self._graph.listed("sites/getAllSites?$select=id,isPersonalSite"):
                    if not found.get("isPersonalSite"):
                        yield quote(str(found["id"]), safe=",")
            elif site.startswith(("http://", "https://")):
                parts = urlsplit(site)
                path = quote(parts.path.strip("/"), safe="/%")
                yield f"{parts.hostname}:/{path}:" if path else f"{parts.hostname}"
            else:
                yield quote(site, safe=",.")

    def _users(self) -> Iterator[str]:
        for user in self._settings.users:
            yield from sorted(self._directory.people()) if user == "*" else (quote(user, safe="@"),)

    def _delta(self, drive: _Drive, begin: str) -> Iterator[_Answer]:
        """The pages of what has changed in a library since a link of Graph's, or of all that is in it."""
        first = link = begin or f"drives/{quote(drive.id, safe='!')}/root/delta?$top={self._settings.page_items}"
        # Graph says 410 of a link that it has forgotten, and 400 of one that it cannot read.
        expired = frozenset({HTTPStatus.GONE, HTTPStatus.BAD_REQUEST})
        while link:
            try:
                got = self._graph.api.request("GET", link, headers={"Prefer": _HIERARCHY}, accepted=expired)
            except NotFound as error:
                raise Transient("A library has gone while Microsoft Graph listed it; sync again.") from error
            if got.status in expired and link == first and not begin:
                raise Transient(f"Microsoft Graph does not list a library from its beginning ({got.status}).")
            if got.status in expired:
                raise CursorExpired(f"Microsoft Graph no longer knows what has changed ({got.status})")
            page = got.json
            applied = got.headers.get("preference-applied", "").lower()
            link = self._relative(page.get("@odata.nextLink", ""))
            since = self._relative(page.get("@odata.deltaLink", ""))
            if not link and not since:
                raise Transient("Microsoft Graph broke off the listing of a library; sync again.")
            hierarchy = self._settings.permissions == "hierarchy" and _HIERARCHY in applied
            yield _Answer(_last_of_each(page["value"]), link, since, hierarchy)

    def _relative(self, link: str) -> str:
        return link.removeprefix(f"{self._settings.graph_url}/")

    def _gone(self, drive: _Drive, items: Sequence[Mapping[str, Any]]) -> list[str]:
        """What was deleted. Raises `CursorExpired` for a folder: what lay in it need not be named."""
        deleted = [item for item in items if "deleted" in item]
        if not all("file" in item for item in deleted):
            raise CursorExpired("a folder was deleted, and with it what was in it")
        return [_external_id(drive, item) for item in deleted]

    def _listed(self, folders: _Folders, answer: _Answer, anew: bool) -> tuple[list[Listed], list[tuple[str, str]]]:
        there = [item for item in answer.items if "deleted" not in item]
        # In a list of changes an item need not tell that its permissions differ, if that is not what has changed.
        decided = self._decided(folders, there, answer.hierarchy and anew)
        versions = self._versions(folders.drive, [item for item in there if "file" in item])
        listed, refused = [], []
        for item in there:
            external_id, why = _external_id(folders.drive, item), _why_not(item)
            if why:
                refused.append((external_id, why))
            elif "file" in item:
                name, uri = str(item["name"]), str(item.get("webUrl") or "")
                version, access = versions[item["id"]], decided[item["id"]]
                if folders.drive.is_page(item):
                    # A page's content is no file's, and its cTag need not tell of it.
                    name, version = f"{name[: -len(_ASPX)]}.html", str(item.get("eTag") or version)
                    listed.append(Listed(external_id, name, uri, version, access, _PAGES))
                else:
                    listed.append(Listed(external_id, name, uri, version, access))
        return listed, refused

    def _published(self, item: str) -> str:
        """The path of a file as its readers see it: in a library with drafts, of the last version that is none.

        Raises `UnreadableDocument` where there is none.
        """
        publication = self._graph.api.get(f"{item}?$select=id,publication").get("publication") or {}
        if not _is_draft(str(publication.get("versionId") or "")):
            return item
        versions = [str(one["id"]) for one in self._graph.listed(f"{item}/versions?$select=id")]
        published = sorted((one for one in versions if not _is_draft(one)), key=lambda one: int(one.partition(".")[0]))
        if not published:
            raise UnreadableDocument(
                "unreadable", "It has never been published, and its readers see nothing of it yet."
            )
        return f"{item}/versions/{published[-1]}"

    def _fetched_page(self, drive: str, item: str) -> bytes:
        ids = self._graph.api.get(f"{_item_path(drive, item)}?$select=id,sharepointIds")["sharepointIds"]
        site = f"{urlsplit(ids['siteUrl']).hostname},{ids['siteId']},{ids['webId']}"
        path = f"sites/{site}/pages/{ids['listItemUniqueId']}/microsoft.graph.sitePage?$expand=canvasLayout"
        page = page_html(self._graph.api.get(path))
        if len(page) > self._limit:
            raise UnreadableDocument("too_large", f"It is longer than the limit of {self._limit:,} bytes; split it.")
        return page

    def _versions(self, drive: _Drive, files: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """The version of each file's content; a list of changes may leave it out, and it is asked for then."""
        unsaid = [item for item in files if not item.get("cTag")]
        replies = self._graph.answers([f"{_item_path(drive.id, item['id'])}?$select=id,cTag,eTag" for item in unsaid])
        found = {item["id"]: item for item in files}
        for item, reply in zip(unsaid, replies, strict=True):
            found[item["id"]] = {**item, **reply.body}
        return {key: str(item.get("cTag") or item.get("eTag") or "unknown") for key, item in found.items()}

    def _decided(self, folders: _Folders, items: Sequence[Mapping[str, Any]], hierarchy: bool) -> dict[str, Decision]:
        """Who may read each item.

        Graph tells all the permissions of an item, inherited ones too, so that one which is asked needs no other. With
        the hierarchy told, only those are asked that differ from their folder.
        """
        readers, now = self._directory.readers(), datetime.now(UTC)
        if not hierarchy:
            return self._asked(folders.drive, [item["id"] for item in items if "file" in item], readers, now)
        listed = {item["id"] for item in items}
        inherits = {item["id"]: _parent(item) for item in items if "shared" not in item and "root" not in item}
        above = set(inherits.values()) - listed
        decided = {folder: folders.decisions[folder] for folder in above if folder in folders.decisions}
        asked = [*sorted(listed - inherits.keys()), *sorted(above - decided.keys())]
        decided |= self._asked(folders.drive, asked, readers, now)
        for item in items:
            chain = [item["id"]]
            while chain[-1] not in decided and len(chain) <= len(items):
                chain.append(inherits[chain[-1]])
            found = decided.get(chain[-1], denied("Microsoft Graph tells of no folder that it lies in"))
            decided |= dict.fromkeys(chain, found)
        within = above | {item["id"] for item in items if "file" not in item}
        folders.decisions |= {folder: decided[folder] for folder in within}
        return decided

    def _asked(self, drive: _Drive, items: Sequence[str], readers: Readers, now: datetime) -> dict[str, Decision]:
        replies = self._graph.answers([f"{_item_path(drive.id, item)}/permissions" for item in items])
        decided = {}
        for item, reply in zip(items, replies, strict=True):
            permissions = self._graph.told(reply)
            decided[item] = (
                denied(f"Microsoft Graph does not tell its permissions ({reply.status})")
                if permissions is None
                else readers.decide(permissions, drive.site.id, now)
            )
        return decided


def open_graph(
    settings: GraphSettings,
    secret: SecretStr | None,
    max_document_bytes: int = 100_000_000,
    patience: Patience | None = None,
) -> SharePoint:
    """The tenant that the settings name. Raises `SourceRefused` without a secret."""
    if secret is None:
        raise SourceRefused("Microsoft Graph asks for the application's secret or certificate; name where it is kept.")
    return SharePoint(settings, secret, patience, max_document_bytes)


def _drive(library: Mapping[str, Any], pages: bool) -> _Drive:
    ids = library.get("sharePointIds") or {}
    site = Site(str(ids.get("siteId") or ""), str(ids.get("siteUrl") or "").rstrip("/"))
    return _Drive(str(library["id"]), site, pages)


def _turned(state: _Cursor, drive: _Drive, answer: _Answer, last: bool) -> _Cursor:
    """The cursor once a page is taken."""
    if answer.next_page:
        return state.model_copy(update={"at": drive.id, "page": answer.next_page})
    since = {**state.since, drive.id: answer.since}
    if last:
        return _Cursor(of=state.of, since=since, whole=False)
    return state.model_copy(update={"since": since, "at": "", "page": "", "done": (*state.done, drive.id)})


def _is_there(reply: Reply) -> bool:
    """Whether a site or a user has libraries; raises `SourceRefused` where Graph does not tell."""
    if reply.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise SourceRefused(
            f"Microsoft Graph refused to list libraries ({reply.status}). Give the application the rights that "
            "docs/sources.md names."
        )
    if not reply.ok and reply.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.LOCKED):
        raise Transient(f"Microsoft Graph could not list libraries ({reply.status}).")
    return reply.ok


def _last_of_each(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Items that are named more than once, as they are named last (driveItem: delta, remarks)."""
    return list({item["id"]: item for item in items}.values())


def _why_not(item: Mapping[str, Any]) -> str:
    """Why an item that is no folder is not brought in."""
    if "malware" in item:
        return "Microsoft 365 has found malware in it and hands it to nobody"
    if "package" in item:
        return "it is a notebook, which Microsoft Graph has no file of; export it to PDF beside it"
    return ""


def _is_draft(version: str) -> bool:
    """Whether a version, `MAJOR.MINOR`, is one that editors alone need see; a major one is published."""
    return not version.endswith(".0") and version != ""


def _external_id(drive: _Drive, item: Mapping[str, Any]) -> str:
    return f"{drive.id}/{item['id']}"


def _item_path(drive: str, item: str) -> str:
    return f"drives/{quote(drive, safe='!')}/items/{quote(item, safe='!')}"


def _parent(item: Mapping[str, Any]) -> str:
    return str((item.get("parentReference") or {}).get("id") or "")
