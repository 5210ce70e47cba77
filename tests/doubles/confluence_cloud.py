"""Confluence Cloud as its API documentation tells: REST v2, and of v1 what v2 does not have."""

from __future__ import annotations

import itertools
import json
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from doubles.hosted import Call, Hosted, Refused, Reply


@dataclass
class Content:
    kind: str
    id: str
    title: str
    space: str
    body: str = ""
    parent: tuple[str, str] | None = None
    status: str = "current"
    version: int = 1
    users: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    on: str = ""
    data: bytes = b""
    secretive: bool = False
    """Its restrictions are not told."""
    partly: bool = False
    """Its restrictions are told in part."""


class ConfluenceCloud(Hosted):
    """One site. Pages of answers hold `page_limit` at most, whatever is asked for."""

    def __init__(self, user: str, token: str, page_limit: int = 3) -> None:
        super().__init__()
        self._credential = "Basic " + b64encode(f"{user}:{token}".encode()).decode()
        self.page_limit = page_limit
        self.spaces: dict[str, dict[str, Any]] = {}
        self.space_permissions: dict[str, list[dict[str, Any]]] = {}
        self.contents: dict[str, Content] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.members: dict[str, list[str]] = {}
        self.people: dict[str, dict[str, Any]] = {}
        self.secretive_groups: set[str] = set()
        self.secretive_spaces: set[str] = set()
        self.unsearched: set[str] = set()
        """What the search index does not have yet."""
        self.restrictions_limit = 2
        self.media: Media | None = None
        self._ids = itertools.count(65601)

    # What people do

    def space(self, key: str, name: str, kind: str = "global") -> str:
        identity = str(next(self._ids))
        self.spaces[identity] = {"id": identity, "key": key, "name": name, "type": kind, "status": "current"}
        self.space_permissions[identity] = []
        return identity

    def let_in(self, space: str, kind: str, who: str, operation: str = "read", target: str = "space") -> None:
        self.space_permissions[space].append(
            {
                "id": str(next(self._ids)),
                "principal": {"type": kind, "id": who},
                "operation": {"key": operation, "targetType": target},
            }
        )

    def person(self, account: str, name: str) -> None:
        self.people[account] = {
            "type": "known",
            "accountId": account,
            "accountType": "atlassian",
            "email": "",
            "publicName": name,
            "displayName": name,
        }

    def group(self, identity: str, name: str, *members: str) -> None:
        self.groups[identity] = {"type": "group", "id": identity, "name": name}
        self.members[identity] = list(members)

    def put(self, kind: str, title: str, space: str, body: str = "", parent: tuple[str, str] | None = None) -> Content:
        identity = str(next(self._ids))
        self.contents[identity] = Content(kind, identity, title, space, body, parent)
        return self.contents[identity]

    def attach(self, on: str, title: str, data: bytes) -> Content:
        identity = f"att{next(self._ids)}"
        self.contents[identity] = Content("attachment", identity, title, self.contents[on].space, on=on, data=data)
        return self.contents[identity]

    # What the API says

    def answer(self, call: Call) -> Reply:
        if call.headers.get("authorization") != self._credential:
            raise Refused(401, "Unauthorized; scope does not match")
        for method, pattern, route in self._routes():
            match = re.fullmatch(pattern, call.path)
            if match and call.method == method:
                return route(call, *match.groups())
        raise Refused(404, f"no {call.path}")

    def problem(self, status: int, message: str) -> Any:
        return {"errors": [{"status": status, "code": "ERROR", "title": message, "detail": None}]}

    def _routes(self) -> list[tuple[str, str, Callable[..., Reply]]]:
        return [
            ("GET", "/wiki/api/v2/spaces", self._spaces),
            ("GET", r"/wiki/api/v2/spaces/(\d+)/permissions", self._permissions),
            ("GET", "/wiki/api/v2/(pages|blogposts)", self._listing),
            ("GET", r"/wiki/api/v2/(pages|blogposts|folders|whiteboards)/(\d+)", self._content),
            ("GET", "/wiki/api/v2/attachments", self._attachments),
            ("POST", "/wiki/api/v2/users-bulk", self._users),
            ("GET", "/wiki/rest/api/content/search", self._search),
            ("GET", r"/wiki/rest/api/content/(\w+)/restriction/byOperation/read", self._restrictions),
            ("GET", r"/wiki/rest/api/content/(\d+)/child/attachment/(\w+)/download", self._download),
            ("GET", r"/wiki/rest/api/group/([\w-]+)/membersByGroupId", self._group_members),
        ]

    def _spaces(self, call: Call) -> Reply:
        call.only("keys", "ids", "type", "status", "limit", "cursor", "sort")
        keys = call.query.get("keys")
        found = [one for one in self.spaces.values() if keys is None or one["key"] in keys]
        return self._paged(call, [one for one in found if one["status"] in call.query.get("status", [one["status"]])])

    def _permissions(self, call: Call, space: str) -> Reply:
        call.only("limit", "cursor")
        if space not in self.spaces or space in self.secretive_spaces:
            raise Refused(404, "no such space")
        return self._paged(call, self.space_permissions[space])

    def _listing(self, call: Call, kind: str) -> Reply:
        call.only("space-id", "status", "sort", "limit", "cursor", "body-format", "title")
        if call.one("sort", "id") not in ("id", "-id", "created-date", "-created-date", "modified-date", "title"):
            raise Refused(400, "sort")
        # The vendor's default: archived pages come too.
        states = call.query.get("status", ["current", "archived"] if kind == "pages" else ["current"])
        spaces = call.query.get("space-id", list(self.spaces))
        found = [
            self._told(one)
            for one in self.contents.values()
            if one.kind == kind and one.status in states and one.space in spaces
        ]
        return self._paged(call, found)

    def _content(self, call: Call, kind: str, identity: str) -> Reply:
        call.only(*(("body-format",) if kind in ("pages", "blogposts") else ()))
        one = self.contents.get(identity)
        if one is None or one.kind != kind:
            raise Refused(404, "no such content")
        told = self._told(one)
        if call.one("body-format") == "storage":
            told["body"] = {"storage": {"representation": "storage", "value": one.body}}
        return Reply(content=told)

    def _told(self, one: Content) -> dict[str, Any]:
        return {
            "id": one.id,
            "status": one.status,
            "title": one.title,
            "spaceId": one.space,
            **({"parentId": one.parent[1], "parentType": one.parent[0]} if one.parent else {"parentId": None}),
            "authorId": "712020:author",
            "createdAt": "2026-01-02T03:04:05.678Z",
            "version": {
                "number": one.version,
                "createdAt": "2026-02-03T04:05:06.789Z",
                "authorId": "712020:author",
                "minorEdit": False,
                "message": "",
            },
            "body": {},
            "_links": {"webui": f"/spaces/{self.spaces[one.space]['key']}/{one.kind}/{one.id}/{one.title}"},
        }

    def _attachments(self, call: Call) -> Reply:
        call.only("status", "sort", "limit", "cursor", "mediaType", "filename")
        if call.one("sort", "created-date") not in ("created-date", "-created-date", "modified-date", "-modified-date"):
            raise Refused(400, "sort")
        found = [
            {
                "id": one.id,
                "status": one.status,
                "title": one.title,
                "pageId" if self.contents[one.on].kind == "pages" else "blogPostId": one.on,
                "mediaType": "text/plain",
                "fileSize": len(one.data),
                "version": {"number": one.version},
                "webuiLink": f"/pages/viewpageattachments.action?pageId={one.on}&preview=/{one.id}",
                "downloadLink": f"/download/attachments/{one.on}/{one.title}?version={one.version}",
            }
            for one in self.contents.values()
            if one.kind == "attachment" and one.status in call.query.get("status", ["current", "archived"])
        ]
        return self._paged(call, found)

    def _users(self, call: Call) -> Reply:
        wanted = call.body["accountIds"]
        if len(wanted) > 250:
            raise Refused(400, "too many accounts")
        return Reply(content={"results": [self.people[one] for one in wanted if one in self.people]})

    def _search(self, call: Call) -> Reply:
        call.only("cql", "expand", "limit", "cursor", "start")
        match = re.fullmatch(r"space in \((.+)\) and type in \(page, blogpost\)", call.one("cql"))
        if not match:
            raise Refused(400, "Could not parse cql")
        keys = json.loads(f"[{match[1]}]")
        wanted = call.one("expand").split(",")
        if set(wanted) - {"restrictions.read.restrictions.user", "restrictions.read.restrictions.group", "ancestors"}:
            raise Refused(400, "expand")
        found = [
            {
                "id": one.id,
                "type": one.kind.removesuffix("s"),
                "status": one.status,
                "title": one.title,
                **({} if one.secretive else {"restrictions": {"read": self._block(one, 0, self.restrictions_limit)}}),
            }
            for one in self.contents.values()
            if one.kind in ("pages", "blogposts")
            and one.status == "current"
            and self.spaces[one.space]["key"] in keys
            and one.id not in self.unsearched
        ]
        # v1 pages a search by a cursor too, in a link that is relative to the context.
        return self._paged(call, found, "/rest/api/content/search")

    def _block(self, one: Content, start: int, limit: int) -> dict[str, Any]:
        def part(values: Sequence[dict[str, Any]]) -> dict[str, Any]:
            some = values[start : start + limit]
            return {"results": some, "start": start, "limit": limit, "size": len(some)}

        if one.partly:
            return {"operation": "read", "restrictions": {"user": part([])}}
        users = [self.people.get(who, {"type": "unknown", "accountId": who}) for who in one.users]
        return {
            "operation": "read",
            "restrictions": {"user": part(users), "group": part([self.groups[who] for who in one.groups])},
        }

    def _restrictions(self, call: Call, identity: str) -> Reply:
        call.only("expand", "start", "limit")
        one = self.contents.get(identity)
        if one is None:
            raise Refused(404, "no such content")
        if one.secretive:
            raise Refused(403, "not permitted")
        limit = call.number("limit", 100, self.restrictions_limit)
        return Reply(content=self._block(one, call.number("start", 0, 10**6), limit))

    def _download(self, call: Call, on: str, identity: str) -> Reply:
        call.only("version", "status")
        one = self.contents.get(identity)
        if one is None or one.on != on or one.status != "current":
            raise Refused(404, "no such attachment")
        if self.media is None:
            return Reply(content=one.data)
        self.media.files[identity] = one.data
        return Reply(302, "", {"Location": f"{self.media.url}/file/{identity}/binary?token=signed"})

    def _group_members(self, call: Call, group: str) -> Reply:
        call.only("start", "limit", "expand", "shouldReturnTotalSize")
        if group not in self.groups:
            raise Refused(404, "no such group")
        if group in self.secretive_groups:
            raise Refused(403, "not permitted")
        start, limit = call.number("start", 0, 10**6), call.number("limit", 200, self.page_limit)
        everybody = [self.people[who] for who in self.members[group]]
        some = everybody[start : start + limit]
        path = f"/rest/api/group/{group}/membersByGroupId"
        more = {"next": f"{path}?limit={limit}&start={start + limit}"} if everybody[start + limit :] else {}
        return Reply(
            content={
                "results": some,
                "start": start,
                "limit": limit,
                "size": len(some),
                "_links": {"context": "/wiki", **more},
            }
        )

    def _paged(self, call: Call, found: Sequence[dict[str, Any]], path: str = "") -> Reply:
        limit = call.number("limit", 25, min(self.page_limit, 250))
        cursor = call.one("cursor")
        if cursor and not re.fullmatch(r"opaque-\d+", cursor):
            raise Refused(400, "cursor")
        start = int(cursor.removeprefix("opaque-")) if cursor else 0
        some = list(found[start : start + limit])
        links: dict[str, str] = {"base": f"{self.url}/wiki"}
        if found[start + limit :]:
            links["next"] = f"{path or call.path}?limit={limit}&cursor=opaque-{start + limit}"
        return Reply(content={"results": some, "_links": links})


class Media(Hosted):
    """Where a site's files really lie: another host, which no credential of the site is meant for."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}

    def answer(self, call: Call) -> Reply:
        if "authorization" in call.headers:
            raise Refused(400, "Only one auth mechanism allowed")
        return Reply(content=self.files[call.path.split("/")[2]])
