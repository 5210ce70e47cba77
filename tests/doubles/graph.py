"""A Microsoft 365 tenant over real sockets: Entra's tokens, Microsoft Graph, and SharePoint on a host of its own.

Written from Microsoft's documentation of the platform, of driveItem, permission, group, $batch and of SharePoint's
REST service. It is strict where they are: tokens are for one audience and expire, unknown queries are refused, pages
are small, a pre-authenticated address of a download refuses a token.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

TENANT = "11111111-aaaa-4bbb-8ccc-222222222222"
CLIENT = "33333333-aaaa-4bbb-8ccc-444444444444"
PAGE = 3
_HIERARCHY = "hierarchicalsharing"
_SELECTABLE = {"$select", "$top", "$expand"}


def guid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


@dataclass
class Item:
    """Something in a library; `grants` None: it inherits what its folder grants."""

    id: str
    name: str
    parent: str
    kind: str = "file"
    content: bytes = b""
    grants: list[dict[str, Any]] | None = None
    content_tag: int = 1
    tag: int = 1
    changed: int = 0
    shared: int = 0
    deleted: bool = False
    hidden: bool = False
    drafts: list[bytes] = field(default_factory=list)
    published: int = 1
    facets: dict[str, Any] = field(default_factory=dict)


@dataclass
class Library:
    id: str
    site: str
    items: dict[str, Item] = field(default_factory=dict)
    template: str = "documentLibrary"


@dataclass
class SiteCollection:
    id: str
    path: str
    libraries: list[str] = field(default_factory=list)
    groups: dict[int, tuple[str, list[dict[str, Any]]]] = field(default_factory=dict)
    personal: bool = False


class GraphDouble:
    """The tenant. Graph and Entra answer at `graph_url` and `login_url`, SharePoint at `sharepoint_url`."""

    def __init__(self, secret: str, certificate: x509.Certificate | None = None) -> None:
        self.secret, self.certificate = secret, certificate
        self.users: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.sites: dict[str, SiteCollection] = {}
        self.libraries: dict[str, Library] = {}
        self.onedrives: dict[str, str] = {}
        self.pages: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.sharepoint_heard: list[dict[str, str]] = []
        self.busy: list[float] = []
        self.busy_in_batch: list[float] = []
        self.down = False
        self.drops = 0
        self.applies_preferences = True
        self.tells_content_tags = True
        self.refuses_sharepoint = False
        self.refuses_listings = False
        self.forgets: set[str] = set()
        """Of which item or group the first page alone is told."""
        self.keeps_token_s = 3600
        self.epoch = 1
        self.tokens: dict[str, str] = {}
        self._clock = itertools.count(1)
        self.now = 0
        self._lock = threading.RLock()
        self._graph = _server(self, _GraphHandler)
        self._sharepoint = _server(self, _SharePointHandler)

    @property
    def graph_url(self) -> str:
        return f"http://127.0.0.1:{self._graph.server_port}/v1.0"

    @property
    def login_url(self) -> str:
        return f"http://127.0.0.1:{self._graph.server_port}/login"

    @property
    def sharepoint_url(self) -> str:
        return f"http://127.0.0.1:{self._sharepoint.server_port}"

    def close(self) -> None:
        for server in (self._graph, self._sharepoint):
            server.shutdown()
            server.server_close()

    # What the tenant's people and administrators do

    def user(self, name: str, **facts: Any) -> str:
        """Somebody with an account; its id."""
        key = guid(f"user {name}")
        self.users.setdefault(
            key,
            {
                "id": key,
                "displayName": name.title(),
                "mail": f"{name}@contoso.example",
                "userPrincipalName": f"{name}@contoso.example",
                "userType": "Member",
                "accountEnabled": True,
            },
        ).update(facts)
        return key

    def group(self, name: str, *members: str, owners: tuple[str, ...] = (), unified: bool = False) -> str:
        """A group of the directory with these ids as its members; its id."""
        key = guid(f"group {name}")
        self.groups[key] = {
            "id": key,
            "displayName": name.title(),
            "groupTypes": ["Unified"] if unified else [],
            "members": list(members),
            "owners": list(owners),
        }
        return key

    def site(self, path: str, *libraries: str, personal: bool = False) -> SiteCollection:
        site = SiteCollection(guid(f"site {path}"), path, list(libraries), personal=personal)
        self.sites[site.id] = site
        for name in libraries:
            self.library(name, site.id)
        return site

    def library(self, name: str, site: str) -> None:
        library = self.libraries[name] = Library(name, site)
        root = Item(f"{name}-root", "root", "", "root", grants=[])
        root.changed = self.tick()
        library.items[root.id] = root

    def page(self, library: str, name: str, *parts: dict[str, Any], level: str = "published", side: Any = None) -> str:
        """A page in a library of pages, with these parts in a section each; its id."""
        sections = [{"columns": [{"webparts": [part]}]} for part in parts]
        layout: dict[str, Any] = {"horizontalSections": sections}
        if side:
            layout["verticalSection"] = {"webparts": [side]}
        key = self.put(library, f"{name}.aspx")
        self.pages[guid(key)] = {
            "id": guid(key),
            "name": f"{name}.aspx",
            "title": name.title(),
            "lastModifiedDateTime": "2026-03-04T05:06:07Z",
            "lastModifiedBy": {"user": {"displayName": "Ana Alves", "email": "ana@contoso.example"}},
            "publishingState": {"level": level, "versionId": "1.0"},
            "canvasLayout": layout,
        }
        return key

    def onedrive(self, user: str, library: str) -> None:
        self.site(f"/personal/{library}", library, personal=True)
        self.onedrives[user] = library

    def put(self, library: str, name: str, text: str = "", folder: str = "", kind: str = "file", **facets: Any) -> str:
        """Something new in a library; its id."""
        items = self.libraries[library].items
        key = f"01{len(items):04d}{guid(library + name)[:4].upper()}"
        items[key] = Item(key, name, folder or f"{library}-root", kind, text.encode(), facets=facets)
        items[key].changed = self.tick()
        return key

    def write(self, library: str, item: str, text: str) -> None:
        one = self.libraries[library].items[item]
        one.content, one.content_tag = text.encode(), one.content_tag + 1
        self.touch(library, item)

    def draft(self, library: str, item: str, text: str) -> None:
        """Write a draft, in a library that keeps them from readers until they are published."""
        one = self.libraries[library].items[item]
        one.drafts, one.content_tag = [*one.drafts, text.encode()], one.content_tag + 1
        self.touch(library, item)

    def publish(self, library: str, item: str) -> None:
        one = self.libraries[library].items[item]
        one.content, one.drafts, one.published = one.drafts[-1], [], one.published + 1
        self.touch(library, item)

    def touch(self, library: str, item: str) -> None:
        one = self.libraries[library].items[item]
        one.tag, one.changed = one.tag + 1, self.tick()

    def move(self, library: str, item: str, name: str, folder: str = "") -> None:
        one = self.libraries[library].items[item]
        one.name, one.parent = name, folder or one.parent
        self.touch(library, item)

    def delete(self, library: str, item: str, names_what_was_in_it: bool = True) -> None:
        items = self.libraries[library].items
        for child in [one.id for one in items.values() if one.parent == item and not one.deleted]:
            if names_what_was_in_it:
                self.delete(library, child)
            else:
                items.pop(child)
        items[item].deleted = True
        self.touch(library, item)

    def grant(self, library: str, item: str, *permissions: dict[str, Any] | None) -> None:
        """Exactly these permissions hold for an item from now on; None alone lets it inherit again."""
        one = self.libraries[library].items[item]
        one.grants = (
            None
            if permissions == (None,)
            else [{"id": f"p{number}", **permission} for number, permission in enumerate(permissions) if permission]
        )
        self.touch(library, item)
        one.shared = one.changed

    def expire_cursors(self) -> None:
        self.epoch += 1

    def expire_tokens(self) -> None:
        with self._lock:
            self.tokens.clear()

    def tick(self) -> int:
        self.now = next(self._clock)
        return self.now

    # What its services answer

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if form.get("grant_type") != "client_credentials" or form.get("client_id") != CLIENT:
            return 400, {"error": "unauthorized_client"}
        scope = form.get("scope", "")
        if not scope.endswith("/.default"):
            return 400, {"error": "invalid_scope"}
        if "client_assertion" in form:
            if not self._proves(form):
                return 401, {"error": "invalid_client", "error_description": f"AADSTS700027 {form}"}
        elif form.get("client_secret") != self.secret:
            return 401, {"error": "invalid_client", "error_description": f"AADSTS7000215 {form}"}
        kind = "certificate" if "client_assertion" in form else "secret"
        token = f"token-{uuid.uuid4()}"
        with self._lock:
            self.tokens[token] = f"{scope.removesuffix('/.default')} {kind}"
        return 200, {"token_type": "Bearer", "expires_in": self.keeps_token_s, "access_token": token}

    def _proves(self, form: dict[str, str]) -> bool:
        if self.certificate is None:
            return False
        if form.get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
            return False
        try:
            head = jwt.get_unverified_header(form["client_assertion"])
            audience = f"{self.login_url}/{TENANT}/oauth2/v2.0/token"
            claims = jwt.decode(
                form["client_assertion"],
                self.certificate.public_key(),  # type: ignore[arg-type]
                algorithms=["PS256"],
                audience=audience,
                options={"require": ["exp", "nbf", "jti", "iss", "sub"]},
            )
        except jwt.PyJWTError:
            return False
        digest = hashlib.sha256(self.certificate.public_bytes(Encoding.DER)).digest()
        expected = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return head.get("x5t#S256") == expected and claims["iss"] == claims["sub"] == CLIENT

    def audience_of(self, authorization: str | None) -> str:
        with self._lock:
            return self.tokens.get((authorization or "").removeprefix("Bearer "), "")

    def graph(self, target: str, preferences: str = "") -> tuple[int, dict[str, str], Any]:
        """What Graph answers to a GET below `/v1.0`: status, headers, body."""
        parts = urlsplit(target)
        path = unquote(parts.path)
        query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.asked.append(path)
        for pattern, answer, more in _ROUTES:
            if match := re.fullmatch(pattern, path):
                if query.keys() - _SELECTABLE - more:
                    return 400, {}, _error("BadRequest", "a query option is not supported")
                return answer(self, query, preferences, *match.groups())
        return 400, {}, _error("BadRequest", f"Resource not found for the segment {path!r}")

    def _paged(
        self, entries: list[Any], query: dict[str, str], path: str, size: int = PAGE
    ) -> tuple[int, dict[str, str], Any]:
        at = int(query.get("$skiptoken", "0"))
        if at and self.forgets & set(path.split("/")):
            return 404, {}, _error("itemNotFound", "Item does not exist")
        page: dict[str, Any] = {"value": entries[at : at + size]}
        if at + size < len(entries):
            kept = "".join(f"&{key}={quote(value)}" for key, value in query.items() if key != "$skiptoken")
            page["@odata.nextLink"] = f"{self.graph_url}{path}?$skiptoken={at + size}{kept}"
        return 200, {}, page

    def list_users(self, query: dict[str, str], _: str) -> tuple[int, dict[str, str], Any]:
        if "accountEnabled" not in query.get("$select", "") or "userType" not in query.get("$select", ""):
            return 400, {}, _error("BadRequest", "these are returned on $select only")
        return self._paged(list(self.users.values()), query, "/users")

    def list_groups(self, query: dict[str, str], _: str) -> tuple[int, dict[str, str], Any]:
        shown = [{key: one[key] for key in ("id", "displayName", "groupTypes")} for one in self.groups.values()]
        return self._paged(shown, query, "/groups")

    def list_members(self, query: dict[str, str], _: str, group: str, which: str) -> tuple[int, dict[str, str], Any]:
        one = self.groups.get(group)
        if one is None:
            return 404, {}, _error("Request_ResourceNotFound", "no such group")
        if one.get("hidden"):
            return 403, {}, _error("Authorization_RequestDenied", "its membership is hidden")
        entries = []
        for member in one[which]:
            kind = "user" if member in self.users else "group" if member in self.groups else "servicePrincipal"
            entries.append({"@odata.type": f"#microsoft.graph.{kind}", "id": member})
        return self._paged(entries, query, f"/groups/{group}/{which}")

    def site_by_path(self, query: dict[str, str], _: str, host: str, path: str) -> tuple[int, dict[str, str], Any]:
        found = self._site_called(f"{host}:{path}")
        return (200, {}, self._shown_site(found)) if found else (404, {}, _error("itemNotFound", "no such site"))

    def all_sites(self, query: dict[str, str], _: str) -> tuple[int, dict[str, str], Any]:
        return self._paged([self._shown_site(one) for one in self.sites.values()], query, "/sites/getAllSites")

    def site_drives(self, query: dict[str, str], _: str, name: str) -> tuple[int, dict[str, str], Any]:
        site = self._site_called(name)
        if site is None:
            return 404, {}, _error("itemNotFound", "Requested site could not be found")
        # Pages stand in a list that is no library of documents.
        libraries = [one for one in site.libraries if self.libraries[one].template == "documentLibrary"]
        shown = [self._shown_drive(one, query) for one in libraries]
        return self._paged(shown, query, f"/sites/{quote(name)}/drives")

    def site_lists(self, query: dict[str, str], _: str, name: str) -> tuple[int, dict[str, str], Any]:
        site = self._site_called(name)
        if site is None:
            return 404, {}, _error("itemNotFound", "Requested site could not be found")
        nested = re.fullmatch(r"drive\((.+)\)", query.get("$expand", ""))
        shown: list[dict[str, Any]] = [{"id": guid("events"), "list": {"hidden": False, "template": "events"}}]
        for one in site.libraries:
            facts = {"id": guid(one), "list": {"hidden": False, "template": self.libraries[one].template}}
            drive = {"$select": nested[1].removeprefix("$select=")} if nested else None
            shown.append(facts | ({"drive": self._shown_drive(one, drive)} if drive else {}))
        return self._paged(shown, query, f"/sites/{quote(name)}/lists")

    def site_page(self, query: dict[str, str], _: str, site: str, page: str) -> tuple[int, dict[str, str], Any]:
        if self._site_called(site) is None or page not in self.pages:
            return 404, {}, _error("itemNotFound", "The resource could not be found.")
        found = self.pages[page]
        if query.get("$expand") != "canvasLayout":
            found = {key: value for key, value in found.items() if key != "canvasLayout"}
        return 200, {}, found

    def user_drive(self, query: dict[str, str], _: str, user: str) -> tuple[int, dict[str, str], Any]:
        found = next((key for key, one in self.users.items() if user in (key, one["userPrincipalName"])), "")
        if found not in self.onedrives:
            return 404, {}, _error("ResourceNotFound", "User's mysite not found.")
        return 200, {}, self._shown_drive(self.onedrives[found], query)

    def delta(self, query: dict[str, str], preferences: str, name: str) -> tuple[int, dict[str, str], Any]:
        library = self.libraries.get(name)
        if library is None:
            return 404, {}, _error("itemNotFound", "no such drive")
        path = f"/drives/{quote(name)}/root/delta"
        if self.refuses_listings:
            return 400, {}, _error("invalidRequest", "One of the provided arguments is not acceptable.")
        kind, since, at, head = "all", 0, 0, self.now
        if token := query.get("token"):
            try:
                epoch, kind, *numbers = token.split("-")
                since, at, head = map(int, numbers)
            except ValueError:
                return 400, {}, _error("invalidRequest", "One of the provided arguments is not acceptable.")
            if int(epoch) != self.epoch:
                where = {"Location": f"{self.graph_url}{path}?token={self.epoch}-all-0-0-{self.now}"}
                return 410, where, _error("resyncChangesApplyDifferences", "Resync required.")
            if kind == "since" and at == 0:
                head = self.now
        known = library.items.values()
        entries = sorted((one for one in known if max(since, at) < one.changed), key=lambda one: one.changed)
        if kind == "all":
            entries = [one for one in entries if not one.deleted]
        page, more = entries[:PAGE], len(entries) > PAGE
        applied = self.applies_preferences and _HIERARCHY in preferences
        above = self._above(library, page) if kind == "since" else []
        shown = [self._shown_item(library, one, applied) for one in [*above, *page]]
        if kind == "since":
            # What has not changed of sharing is not said again.
            for one, item in zip([*above, *page], shown, strict=True):
                if one.shared <= since:
                    item.pop("shared", None)
        body: dict[str, Any] = {"value": shown}
        if more:
            token = f"{self.epoch}-{kind}-{since}-{page[-1].changed}-{head}"
            body["@odata.nextLink"] = f"{self.graph_url}{path}?token={token}"
        else:
            body["@odata.deltaLink"] = f"{self.graph_url}{path}?token={self.epoch}-since-{head}-0-{head}"
        return 200, {"Preference-Applied": _HIERARCHY} if applied else {}, body

    def item(self, query: dict[str, str], _: str, name: str, key: str) -> tuple[int, dict[str, str], Any]:
        library, one = self._item(name, key)
        if one is None or library is None:
            return 404, {}, _error("itemNotFound", "Item does not exist")
        shown = self._shown_item(library, one, False) | {"cTag": f'"c:{{{one.id}}},{one.content_tag}"'}
        if "sharepointIds" in query.get("$select", ""):
            site = self.sites[library.site]
            ids = {"siteId": site.id, "webId": guid(site.id), "siteUrl": f"{self.sharepoint_url}{site.path}"}
            shown["sharepointIds"] = ids | {"listItemUniqueId": guid(one.id)}
        if "publication" in query.get("$select", ""):
            shown["publication"] = {"level": "published", "versionId": f"{one.published}.{len(one.drafts)}"}
        wanted = set(query["$select"].split(",")) if "$select" in query else shown.keys()
        return 200, {}, {field_: shown[field_] for field_ in shown if field_ in wanted}

    def permissions(self, query: dict[str, str], _: str, name: str, key: str) -> tuple[int, dict[str, str], Any]:
        library, one = self._item(name, key)
        if one is None or library is None:
            return 404, {}, _error("itemNotFound", "Item does not exist")
        if one.hidden:
            return 403, {}, _error("accessDenied", "Access denied")
        while one.grants is None:
            one = library.items[one.parent]
        return self._paged(one.grants, query, f"/drives/{quote(name)}/items/{key}/permissions")

    def versions(self, query: dict[str, str], _: str, name: str, key: str) -> tuple[int, dict[str, str], Any]:
        library, one = self._item(name, key)
        if one is None or library is None:
            return 404, {}, _error("itemNotFound", "Item does not exist")
        drafts = [f"{one.published}.{number}" for number in range(len(one.drafts), 0, -1)]
        shown = [{"id": version} for version in [*drafts, *(f"{number}.0" for number in range(one.published, 0, -1))]]
        return self._paged(shown, query, f"/drives/{quote(name)}/items/{key}/versions")

    def content(
        self, query: dict[str, str], _: str, name: str, key: str, version: str = ""
    ) -> tuple[int, dict[str, str], Any]:
        library, one = self._item(name, key)
        if one is None or library is None or one.kind != "file":
            return 404, {}, _error("itemNotFound", "Item does not exist")
        if version == f"{one.published}.{len(one.drafts)}":
            # Microsoft's: the newest version is the item's own content.
            return 400, {}, _error("invalidRequest", "You cannot get the content of the current version.")
        draft = "" if version or not one.drafts else "&draft=1"
        where = f"{self.sharepoint_url}/download.aspx?UniqueId={name}/{key}&tempauth=preauthenticated{draft}"
        return 302, {"Location": where}, None

    def batch(self, body: Any) -> tuple[int, dict[str, str], Any]:
        requests = body.get("requests")
        if not requests or len(requests) > 20 or len({one["id"] for one in requests}) != len(requests):
            return 400, {}, _error("BadRequest", "Invalid batch payload format.")
        responses = []
        for one in requests:
            if one["method"] != "GET" or one["url"].startswith("http"):
                return 400, {}, _error("BadRequest", "Invalid batch payload format.")
            if self.busy_in_batch and (seconds := self.busy_in_batch.pop(0)):
                headers = {"Retry-After": f"{seconds:g}"}
                responses.append({"id": one["id"], "status": 429, "headers": headers, "body": _error("TooMany", "")})
                continue
            status, headers, answer = self.graph("/" + one["url"].lstrip("/"))
            responses.append({"id": one["id"], "status": status, "headers": headers, "body": answer})
        # Answers come in any order.
        return 200, {}, {"responses": responses[::-1]}

    def site_groups(self, path: str) -> list[dict[str, Any]]:
        site = next(one for one in self.sites.values() if one.path == path)
        return [{"Id": key, "Title": title, "Users": users} for key, (title, users) in site.groups.items()]

    def _site_called(self, name: str) -> SiteCollection | None:
        host = urlsplit(self.sharepoint_url).hostname
        for site in self.sites.values():
            if name in (f"{host}:{site.path}:", f"{host}:{site.path}", f"{host},{site.id},{guid(site.id)}"):
                return site
        return None

    def _shown_site(self, site: SiteCollection) -> dict[str, Any]:
        host = urlsplit(self.sharepoint_url).hostname
        return {
            "id": f"{host},{site.id},{guid(site.id)}",
            "webUrl": f"{self.sharepoint_url}{site.path}",
            "isPersonalSite": site.personal,
        }

    def _shown_drive(self, name: str, query: dict[str, str]) -> dict[str, Any]:
        site = self.sites[self.libraries[name].site]
        shown: dict[str, Any] = {"id": name, "name": name, "webUrl": f"{self.sharepoint_url}{site.path}/{name}"}
        if "sharePointIds" in query.get("$select", ""):
            shown["sharePointIds"] = {"siteId": site.id, "siteUrl": f"{self.sharepoint_url}{site.path}"}
        return shown

    def _shown_item(self, library: Library, one: Item, hierarchy: bool) -> dict[str, Any]:
        parent = {"driveId": library.id, "id": one.parent}
        shown: dict[str, Any] = {"id": one.id, "parentReference": parent}
        shown |= {"file": {}} if one.kind == "file" else {"folder": {}} if one.kind in ("folder", "root") else {}
        if one.deleted:
            return shown | {"deleted": {"state": "deleted"}}
        shown |= {"name": one.name, "eTag": f'"{{{one.id}}},{one.tag}"', "size": len(one.content)}
        shown["webUrl"] = f"{self.sharepoint_url}/{library.id}/{quote(one.name)}"
        if one.kind == "root":
            shown["root"] = {}
        if one.kind == "package":
            shown["package"] = {"type": "oneNote"}
        if one.kind == "file" and self.tells_content_tags:
            shown["cTag"] = f'"c:{{{one.id}}},{one.content_tag}"'
        if hierarchy and one.grants is not None:
            shown["shared"] = {"scope": "users"} if one.grants else {}
        elif not hierarchy and one.grants:
            shown["shared"] = {"scope": "users"}
        return shown | one.facets

    def _above(self, library: Library, page: list[Item]) -> list[Item]:
        """The folders that changed items lie in, which a list of changes names too."""
        found: dict[str, Item] = {}
        for one in page:
            while one.parent:
                one = library.items[one.parent]
                found[one.id] = one
        return [one for one in reversed(found.values()) if one not in page]

    def _item(self, name: str, key: str) -> tuple[Library | None, Item | None]:
        library = self.libraries.get(name)
        one = library.items.get(key) if library else None
        return library, None if one is None or one.deleted else one


_ROUTES: list[tuple[str, Any, set[str]]] = [
    (r"/users", GraphDouble.list_users, {"$skiptoken"}),
    (r"/groups", GraphDouble.list_groups, {"$skiptoken"}),
    (r"/groups/([^/]+)/(members|owners)", GraphDouble.list_members, {"$skiptoken"}),
    (r"/sites/getAllSites", GraphDouble.all_sites, {"$skiptoken"}),
    (r"/sites/(.+)/drives", GraphDouble.site_drives, {"$skiptoken"}),
    (r"/sites/(.+)/lists", GraphDouble.site_lists, {"$skiptoken"}),
    (r"/sites/([^/]+)/pages/([^/]+)/microsoft.graph.sitePage", GraphDouble.site_page, set()),
    (r"/users/([^/]+)/drive", GraphDouble.user_drive, set()),
    (r"/drives/([^/]+)/root/delta", GraphDouble.delta, {"token"}),
    (r"/drives/([^/]+)/items/([^/]+)", GraphDouble.item, set()),
    (r"/drives/([^/]+)/items/([^/]+)/permissions", GraphDouble.permissions, {"$skiptoken"}),
    (r"/drives/([^/]+)/items/([^/]+)/content", GraphDouble.content, set()),
    (r"/drives/([^/]+)/items/([^/]+)/versions", GraphDouble.versions, {"$skiptoken"}),
    (r"/drives/([^/]+)/items/([^/]+)/versions/([^/]+)/content", GraphDouble.content, set()),
]


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "innerError": {"request-id": guid(code)}}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: GraphDouble

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _is_out(self) -> bool:
        """Whether the service answers nothing of use now; it has been said then."""
        if self.double.drops > 0:
            self.double.drops -= 1
            self.close_connection = True
            return True
        if self.double.down:
            self._say(503, {}, _error("serviceNotAvailable", "The service is not available."))
            return True
        return False

    def _say(self, status: int, headers: dict[str, str], body: Any) -> None:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _received(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))


class _GraphHandler(_Handler):
    def do_POST(self) -> None:
        data = self._received()
        if self._is_out():
            return
        if self.path == f"/login/{TENANT}/oauth2/v2.0/token":
            form = {key: values[0] for key, values in parse_qs(data.decode()).items()}
            status, body = self.double.token(form)
            self._say(status, {}, body)
        elif self.path == "/v1.0/$batch" and self._is_let_in():
            self._say(*self.double.batch(json.loads(data)))
        elif self.path != "/v1.0/$batch":
            self._say(404, {}, _error("BadRequest", "no such endpoint"))

    def do_GET(self) -> None:
        if self._is_out() or not self._is_let_in():
            return
        self._say(*self.double.graph(self.path.removeprefix("/v1.0"), self.headers.get("Prefer", "")))

    def _is_let_in(self) -> bool:
        audience = self.double.audience_of(self.headers.get("Authorization"))
        if audience.partition(" ")[0] != self.double.graph_url.removesuffix("/v1.0"):
            self._say(401, {}, _error("InvalidAuthenticationToken", "The token is expired."))
            return False
        if self.double.busy:
            seconds = self.double.busy.pop(0)
            self._say(429, {"Retry-After": f"{seconds:g}"}, _error("activityLimitReached", "throttled"))
            return False
        return True


class _SharePointHandler(_Handler):
    def do_GET(self) -> None:
        if self._is_out():
            return
        self.double.sharepoint_heard.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
        parts = urlsplit(self.path)
        if parts.path == "/download.aspx":
            self._download(parse_qs(parts.query))
        elif parts.path.endswith("/_api/web/sitegroups"):
            self._site_groups(parts.path.removesuffix("/_api/web/sitegroups"))
        else:
            self._say(404, {}, b"")

    def _download(self, query: dict[str, list[str]]) -> None:
        if "Authorization" in self.headers or query.get("tempauth") != ["preauthenticated"]:
            self._say(401, {}, b"")
            return
        library, _, item = query["UniqueId"][0].partition("/")
        one = self.double.libraries[library].items[item]
        data = one.drafts[-1] if "draft" in query else one.content
        self._say(200, {"Content-Type": "application/octet-stream"}, data)

    def _site_groups(self, site: str) -> None:
        audience, _, proof = self.double.audience_of(self.headers.get("Authorization")).partition(" ")
        if audience != self.double.sharepoint_url or proof != "certificate":
            self._say(401, {}, {"error_description": "Unsupported app only token."})
        elif self.double.refuses_sharepoint:
            self._say(403, {}, {"odata.error": {"code": "-2147024891, System.UnauthorizedAccessException"}})
        else:
            self._say(200, {}, {"value": self.double.site_groups(site)})


def _server(double: GraphDouble, handler: type[_Handler]) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), {"double": double}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


def person(user: str, *roles: str) -> dict[str, Any]:
    """A permission of somebody by the id of their account."""
    return {"roles": list(roles) or ["read"], "grantedToV2": {"user": {"id": user, "displayName": "a person"}}}


def of_group(group: str, *roles: str) -> dict[str, Any]:
    """A permission of a group of the directory."""
    return {"roles": list(roles) or ["read"], "grantedToV2": {"group": {"id": group, "displayName": "a group"}}}
