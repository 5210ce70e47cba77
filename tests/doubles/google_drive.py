"""A Google Workspace over real sockets: its token endpoint, the Drive API and the Directory API.

Written from Google's documentation of domain-wide delegation, Drive API v3 and Directory API v1. It is strict where
they are: a token speaks for one person and for scopes, unknown parameters are refused, only the fields that are asked
for come, and pages are small.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CUSTOMER = "C0double1"
DOMAIN = "example.org"
ADMIN = f"admin@{DOMAIN}"
ACCOUNT = "footnote@project.iam.gserviceaccount.com"
PAGE = 3
GOOGLE = "application/vnd.google-apps."
_DRIVE_SCOPE = "https://www.googleapis.com/auth/drive.readonly"
_USER_SCOPE = "https://www.googleapis.com/auth/admin.directory.user.readonly"
_GROUP_SCOPE = "https://www.googleapis.com/auth/admin.directory.group.readonly"
_EXPORTS = {
    "document": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "spreadsheet": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "presentation": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "drawing": "application/pdf",
}


class Refused(Exception):
    """An error of an API: its status and Google's word for it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass
class File:
    """A file; it belongs to a person (by address) or lies in a shared drive."""

    id: str
    name: str
    owner: str = ""
    drive: str = ""
    kind: str = "text/plain"
    content: bytes = b""
    parent: str = "root"
    grants: list[dict[str, Any]] = field(default_factory=list)
    edited: int = 0
    version: int = 0
    trashed: bool = False
    hidden: bool = False
    more: dict[str, Any] = field(default_factory=dict)


class GoogleDouble:
    """The organization. Change what it holds through its methods, so that its lists of changes know."""

    def __init__(self, key: rsa.RSAPublicKey) -> None:
        self.key = key
        self.users: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.members: dict[str, list[dict[str, Any]]] = {}
        self.files: dict[str, File] = {}
        self.drives: dict[str, list[dict[str, Any]]] = {}
        self.log: list[tuple[int, str, str]] = []
        self.asked: list[tuple[str, str]] = []
        self.busy: list[float] = []
        self.too_often: list[str] = []
        self.down = False
        self.epoch = 1
        self.export_limit = 10 * 1024 * 1024
        self.incomplete = False
        self.hidden_groups: set[str] = set()
        self.without_drive: set[str] = set()
        self.tokens: dict[str, tuple[str, str]] = {}
        self._clock = itertools.count(1)
        self.now = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"double": self}))
        serve = self._server.serve_forever
        threading.Thread(target=serve, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.user("admin")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    # What the organization's people and administrators do

    def user(self, name: str, **facts: Any) -> str:
        """Somebody with an account; its id."""
        key = str(10**20 + int(hashlib.sha256(name.encode()).hexdigest()[:12], 16))
        email = f"{name}@{DOMAIN}"
        made = {"id": key, "primaryEmail": email, "name": {"fullName": name.title()}, "suspended": False}
        self.users.setdefault(key, made).update(facts)
        return key

    def group(self, name: str, *members: dict[str, Any]) -> str:
        """A group with these entries as its members; its id."""
        key = hashlib.sha256(name.encode()).hexdigest()[:15]
        self.groups[key] = {"id": key, "email": f"{name}@{DOMAIN}", "name": name.title()}
        self.members[key] = list(members)
        return key

    def drive(self, name: str, *permissions: dict[str, Any]) -> None:
        self.drives[name] = [permission("user", "organizer", emailAddress=ADMIN), *permissions]

    def put(self, name: str, text: str = "", owner: str = "", drive: str = "", **facts: Any) -> str:
        """A new file; its id."""
        key = f"1{hashlib.sha256(f'{name}{len(self.files)}'.encode()).hexdigest()[:20]}"
        self.files[key] = File(key, name, owner, drive, content=text.encode(), **facts)
        self.files[key].edited = self.now + 1
        self._note(key)
        return key

    def write(self, file: str, text: str) -> None:
        one = self.files[file]
        one.content, one.edited = text.encode(), self.now + 1
        self._note(file)

    def change(self, file: str, **facts: Any) -> None:
        """Another name or place, into the bin or out of it: nothing of the content."""
        for name, value in facts.items():
            setattr(self.files[file], name, value)
        self._note(file)

    def move(self, file: str, owner: str = "", drive: str = "") -> None:
        """Into another drive; the lists of changes of where it was name it too."""
        one = self.files[file]
        left = {one.drive, one.owner} - {""}
        one.owner, one.drive = owner, drive
        self._note(file)
        self.log += [(self.now, corpus, file) for corpus in left]

    def grant(self, file: str, *permissions: dict[str, Any]) -> None:
        """Exactly these permissions beside the owner's or the drive's."""
        saw = self._who_sees(self.files[file])
        self.files[file].grants = list(permissions)
        self._note(file)
        for user in saw - self._who_sees(self.files[file]):
            self.log.append((self.now, user, file))

    def delete(self, file: str) -> None:
        one = self.files.pop(file)
        self.now = next(self._clock)
        self.log += [(self.now, corpus, file) for corpus in (one.drive, *self._who_sees(one)) if corpus]

    def expire_cursors(self) -> None:
        self.epoch += 1

    def expire_tokens(self) -> None:
        self.tokens.clear()

    def _note(self, file: str) -> None:
        self.now = next(self._clock)
        one = self.files[file]
        one.version += 1
        self.log += [(self.now, corpus, file) for corpus in (one.drive, *self._who_sees(one)) if corpus]

    def _who_sees(self, one: File) -> set[str]:
        """Whose own list of changes names a file: its owner's, and theirs with whom it is shared by themselves."""
        return {one.owner, *(grant.get("emailAddress", "") for grant in one.grants)} - {""}

    # What its services answer

    def token(self, form: dict[str, str]) -> dict[str, Any]:
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            raise Refused(400, "unsupported_grant_type")
        try:
            audience = f"{self.url}/token"
            claims = jwt.decode(
                form["assertion"], self.key, ["RS256"], audience=audience, options={"verify_iat": False}
            )
        except jwt.PyJWTError as error:
            raise Refused(400, f"invalid_grant {form}") from error
        known = {one["primaryEmail"] for one in self.users.values() if not one["suspended"]}
        scopes = set(claims["scope"].split())
        if claims["iss"] != ACCOUNT or scopes - {_DRIVE_SCOPE, _USER_SCOPE, _GROUP_SCOPE}:
            raise Refused(401, "unauthorized_client")
        if claims["sub"] not in known or claims["exp"] - claims["iat"] > 3600:
            raise Refused(400, "invalid_grant")
        token = f"ya29.{uuid.uuid4()}"
        self.tokens[token] = (claims["sub"], claims["scope"])
        return {"access_token": token, "expires_in": 3599, "token_type": "Bearer"}

    def answer(self, path: str, query: dict[str, str], subject: str, scope: str) -> Any:
        self.asked.append((path, subject))
        for pattern, needed, known, method in _ROUTES:
            if match := re.fullmatch(pattern, path):
                if needed not in scope.split():
                    raise Refused(403, "insufficientPermissions")
                if query.keys() - known - {"fields", "pageToken"}:
                    raise Refused(400, "invalidParameter")
                found = getattr(self, method)(query, subject, *match.groups())
                return found if isinstance(found, bytes) else masked(found, query.get("fields", ""))
        raise Refused(404, "notFound")

    def list_users(self, query: dict[str, str], subject: str) -> Any:
        self._is_admin(query, subject)
        return self._paged("users", list(self.users.values()), query, "maxResults")

    def list_groups(self, query: dict[str, str], subject: str) -> Any:
        self._is_admin(query, subject)
        return self._paged("groups", list(self.groups.values()), query, "maxResults")

    def list_members(self, query: dict[str, str], subject: str, group: str) -> Any:
        if subject != ADMIN or group in self.hidden_groups:
            raise Refused(403, "forbidden")
        if group not in self.members:
            raise Refused(404, "notFound")
        return self._paged("members", self.members[group], query, "maxResults")

    def list_drives(self, query: dict[str, str], subject: str) -> Any:
        mine = [{"id": key, "name": key} for key, named in self.drives.items() if self._member(named, subject)]
        return self._paged("drives", mine, query, "pageSize")

    def get_drive(self, query: dict[str, str], subject: str, drive: str) -> Any:
        if not self._member(self.drives.get(drive, []), subject):
            raise Refused(404, "notFound")
        return {"id": drive, "name": drive}

    def start(self, query: dict[str, str], subject: str) -> Any:
        self._corpus(query, subject)
        return {"startPageToken": f"{self.epoch}-changes-{self.now}-0"}

    def list_files(self, query: dict[str, str], subject: str) -> Any:
        corpus = self._corpus(query, subject)
        if query.get("corpora") == "drive":
            if query.get("q") != "trashed = false" or query.get("includeItemsFromAllDrives") != "true":
                raise Refused(400, "invalid")
            entries = [one for one in self.files.values() if one.drive == corpus]
        elif query.get("q") == "'me' in owners and trashed = false":
            entries = [one for one in self.files.values() if one.owner == subject]
        else:
            raise Refused(400, "invalid")
        # By when they came, so that a page goes on after the last though others have gone.
        ids = list(self.files)
        after = self._token(query, "files")[0] if "pageToken" in query else 0
        left = [one for one in entries if ids.index(one.id) >= after and not one.trashed]
        page = left[: min(PAGE, int(query.get("pageSize", 100)))]
        shown: dict[str, Any] = {
            "files": [self._shown(one, subject) for one in page],
            "incompleteSearch": self.incomplete,
        }
        if len(left) > len(page):
            shown["nextPageToken"] = f"{self.epoch}-files-{ids.index(page[-1].id) + 1}-0"
        return shown

    def list_changes(self, query: dict[str, str], subject: str) -> Any:
        corpus = self._corpus(query, subject)
        if query.get("includeRemoved") == "false" or "pageToken" not in query:
            raise Refused(400, "required")
        since, head = self._token(query, "changes")
        head = head or self.now
        last = {file: moment for moment, where, file in self.log if where == corpus and since < moment <= head}
        order = sorted(last, key=lambda file: last[file])
        page, more = order[:PAGE], len(order) > PAGE
        shown: dict[str, Any] = {"changes": [self._change(file, corpus, subject) for file in page]}
        shown["changes"].append({"changeType": "drive", "driveId": corpus, "removed": False})
        if more:
            shown["nextPageToken"] = f"{self.epoch}-changes-{last[page[-1]]}-{head}"
        else:
            shown["newStartPageToken"] = f"{self.epoch}-changes-{head}-0"
        return shown

    def list_permissions(self, query: dict[str, str], subject: str, file: str) -> Any:
        one = self._visible(file, subject)
        if query.get("supportsAllDrives") != "true" and one.drive:
            raise Refused(404, "notFound")
        if one.hidden:
            raise Refused(403, "insufficientFilePermissions")
        return self._paged("permissions", self._effective(one), query, "pageSize")

    def get_file(self, query: dict[str, str], subject: str, file: str) -> Any:
        one = self._visible(file, subject)
        if query.get("alt") != "media":
            return self._shown(one, subject)
        if query.get("supportsAllDrives") != "true" and one.drive:
            raise Refused(404, "notFound")
        if one.kind.startswith(GOOGLE):
            raise Refused(403, "fileNotDownloadable")
        if one.more.get("abusive"):
            raise Refused(403, "cannotDownloadAbusiveFile")
        return one.content

    def export(self, query: dict[str, str], subject: str, file: str) -> Any:
        one = self._visible(file, subject)
        if query.get("mimeType") != _EXPORTS.get(one.kind.removeprefix(GOOGLE)):
            raise Refused(400, "badRequest")
        if len(one.content) > self.export_limit:
            raise Refused(403, "exportSizeLimitExceeded")
        return one.content

    def _is_admin(self, query: dict[str, str], subject: str) -> None:
        if subject != ADMIN:
            raise Refused(403, "forbidden")
        if query.get("customer") != CUSTOMER:
            raise Refused(400, "badRequest")

    def _member(self, named: list[dict[str, Any]], subject: str) -> bool:
        return any(one.get("emailAddress") == subject for one in named)

    def _corpus(self, query: dict[str, str], subject: str) -> str:
        if subject in self.without_drive:
            raise Refused(403, "domainPolicy")
        if "driveId" not in query:
            return subject
        if query.get("supportsAllDrives") != "true":
            raise Refused(403, "teamDrivesParameterRequired")
        if not self._member(self.drives.get(query["driveId"], []), subject):
            raise Refused(404, "notFound")
        return query["driveId"]

    def _visible(self, file: str, subject: str) -> File:
        one = self.files.get(file)
        if one is None or not (subject == one.owner or self._member(self._effective(one), subject)):
            raise Refused(404, "notFound")
        return one

    def _effective(self, one: File) -> list[dict[str, Any]]:
        owner = [permission("user", "owner", emailAddress=one.owner)] if one.owner else []
        return [*owner, *self.drives.get(one.drive, []), *one.grants]

    def _change(self, file: str, corpus: str, subject: str) -> dict[str, Any]:
        one = self.files.get(file)
        entry = {"changeType": "file", "fileId": file, "time": "2026-01-01T00:00:00.000Z"}
        sees = one is not None and corpus in {one.drive, *self._who_sees(one)}
        if one is None or not sees:
            return entry | {"removed": True}
        return entry | {"removed": False, "file": self._shown(one, subject)}

    def _shown(self, one: File, subject: str) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "id": one.id,
            "name": one.name,
            "mimeType": one.kind,
            "trashed": one.trashed,
            "parents": [one.parent],
            "version": str(one.version),
            "modifiedTime": f"2026-01-01T00:00:00.{one.edited:03d}Z",
            "webViewLink": f"https://drive.google.com/file/d/{one.id}/view?name={one.name}",
            "ownedByMe": bool(one.owner) and one.owner == subject,
            "capabilities": {"canDownload": True},
        }
        if not one.kind.startswith(GOOGLE):
            shown |= {"md5Checksum": hashlib.md5(one.content).hexdigest(), "headRevisionId": f"r{one.edited}"}
        if one.drive:
            shown |= {"driveId": one.drive, "hasAugmentedPermissions": bool(one.grants)}
        if not one.hidden:
            shown["permissionIds"] = [permission["id"] for permission in self._effective(one)]
            if one.owner == subject:
                shown["permissions"] = self._effective(one)
        return shown | one.more

    def _paged(self, key: str, entries: list[Any], query: dict[str, str], size: str) -> Any:
        at = self._token(query, key)[0] if "pageToken" in query else 0
        end = at + min(PAGE, int(query.get(size, PAGE)))
        more = {"nextPageToken": f"{self.epoch}-{key}-{end}-0"} if end < len(entries) else {}
        return {"kind": key, key: entries[at:end], **more}

    def _token(self, query: dict[str, str], kind: str) -> tuple[int, int]:
        try:
            epoch, written, one, other = query["pageToken"].split("-")
            numbers = int(one), int(other)
        except ValueError as error:
            raise Refused(400, "invalid") from error
        if int(epoch) != self.epoch or written != kind:
            raise Refused(404 if kind == "changes" else 400, "invalid")
        return numbers


_PAGES = {"pageSize", "supportsAllDrives"}
_LISTS = _PAGES | {"driveId", "includeItemsFromAllDrives", "spaces"}
_DRIVE, _DIRECTORY = r"/drive/v3", r"/admin/directory/v1"
_ROUTES: list[tuple[str, str, set[str], str]] = [
    (rf"{_DRIVE}/files", _DRIVE_SCOPE, _LISTS | {"q", "corpora", "orderBy"}, "list_files"),
    (rf"{_DRIVE}/files/([^/]+)", _DRIVE_SCOPE, {"alt", "supportsAllDrives", "acknowledgeAbuse"}, "get_file"),
    (rf"{_DRIVE}/files/([^/]+)/export", _DRIVE_SCOPE, {"mimeType"}, "export"),
    (rf"{_DRIVE}/files/([^/]+)/permissions", _DRIVE_SCOPE, _PAGES, "list_permissions"),
    (rf"{_DRIVE}/changes", _DRIVE_SCOPE, _LISTS | {"includeRemoved", "includeCorpusRemovals"}, "list_changes"),
    (rf"{_DRIVE}/changes/startPageToken", _DRIVE_SCOPE, {"driveId", "supportsAllDrives"}, "start"),
    (rf"{_DRIVE}/drives", _DRIVE_SCOPE, {"pageSize", "q"}, "list_drives"),
    (rf"{_DRIVE}/drives/([^/]+)", _DRIVE_SCOPE, set(), "get_drive"),
    (rf"{_DIRECTORY}/users", _USER_SCOPE, {"customer", "maxResults"}, "list_users"),
    (rf"{_DIRECTORY}/groups", _GROUP_SCOPE, {"customer", "maxResults"}, "list_groups"),
    (rf"{_DIRECTORY}/groups/([^/]+)/members", _GROUP_SCOPE, {"maxResults"}, "list_members"),
]


def masked(value: Any, mask: str) -> Any:
    """What a `fields` mask leaves of a value: names, `a/b` and `a(b,c)`."""
    if not mask:
        return value
    if isinstance(value, list):
        return [masked(one, mask) for one in value]
    wanted: dict[str, str] = {}
    for part in re.findall(r"[^,()/]+(?:/[^,()]+|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))?", mask):
        name, _, rest = part.partition("/") if re.match(r"[^(]*/", part) else part.partition("(")
        wanted[name] = rest.removesuffix(")") if "(" in part and "/" not in part.split("(")[0] else rest
    return {name: masked(value[name], rest) for name, rest in wanted.items() if name in value}


def permission(kind: str, role: str = "reader", **facts: Any) -> dict[str, Any]:
    """A permission of a file; its id is the grantee's."""
    key = hashlib.sha256(repr((kind, facts.get("emailAddress"), facts.get("domain"))).encode()).hexdigest()[:12]
    return {"id": key, "type": kind, "role": role, **facts}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: GoogleDouble

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        form = {key: values[0] for key, values in parse_qs(data).items()}
        self._answer(lambda: self.double.token(form) if self.path == "/token" else _none())

    def do_GET(self) -> None:
        self._answer(self._asked)

    def _asked(self) -> Any:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self.double.tokens:
            raise Refused(401, "authError")
        if self.double.busy:
            raise Refused(429, "rateLimitExceeded")
        if self.double.too_often:
            raise Refused(403, self.double.too_often.pop(0))
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        return self.double.answer(unquote(parts.path), query, *self.double.tokens[token])

    def _answer(self, answer: Callable[[], Any]) -> None:
        headers = {}
        try:
            if self.double.down:
                raise Refused(503, "backendError")
            status, body = 200, answer()
        except Refused as error:
            status = error.status
            shown = [{"domain": "global", "reason": error.reason, "message": error.reason}]
            body = {"error": {"code": status, "errors": shown, "message": error.reason}}
            if status == 429:
                headers["Retry-After"] = f"{self.double.busy.pop(0):g}"
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _none() -> Any:
    raise Refused(404, "notFound")
