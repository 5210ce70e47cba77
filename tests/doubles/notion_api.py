"""Notion's API, version 2025-09-03, as its documentation tells."""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from doubles.hosted import Call, Hosted, Refused, Reply


@dataclass
class Node:
    """A page, a database, a table of rows (a data source) or a block."""

    object: str
    id: str
    parent: dict[str, Any]
    facts: dict[str, Any]
    edited: datetime
    children: list[str] = field(default_factory=list)
    in_trash: bool = False
    shared: bool = True
    unsearched: bool = False
    """The search leaves it out."""
    lingers: bool = False
    """The search has not noticed yet that it is in the bin."""
    file: str = ""


class NotionApi(Hosted):
    """One workspace as one integration sees it. Its clock stands still unless somebody moves it."""

    def __init__(self, token: str, page_limit: int = 3) -> None:
        super().__init__()
        self._token, self.page_limit = token, page_limit
        self.bot = "16d84278-ab0e-484c-9bdd-b35da3bd8905"
        self.now = datetime(2026, 5, 1, 12, 0, 30, tzinfo=UTC)
        self.nodes: dict[str, Node] = {}
        self.files: dict[str, bytes] = {}
        self.storage = Storage()
        self._ids = itertools.count(1)

    # What people do

    def put(self, kind: str, parent: dict[str, Any], **facts: Any) -> Node:
        identity = str(uuid.UUID(int=0xABCDEF << 100 | next(self._ids)))
        self.nodes[identity] = Node(kind, identity, parent, facts, self.now)
        return self.nodes[identity]

    def page(self, title: str, above: Node | None = None, **properties: Any) -> Node:
        kinds = {"page": "page_id", "block": "block_id", "data_source": "data_source_id"}
        parent: dict[str, Any] = {"type": "workspace", "workspace": True}
        if above is not None:
            kind = kinds[above.object]
            parent = {"type": kind, kind: above.id}
        named = {"Name": {"id": "title", "type": "title", "title": text(title)}}
        node = self.put("page", parent, properties=named | properties)
        if above is not None and above.object != "data_source":
            above.children.append(node.id)
        return node

    def database(self, title: str, above: Node) -> Node:
        """A database with one table of rows, which is returned."""
        database = self.put("database", {"type": "page_id", "page_id": above.id}, title=text(title))
        return self.put(
            "data_source",
            {"type": "database_id", "database_id": database.id},
            title=text(title),
            database_parent={"type": "page_id", "page_id": above.id},
        )

    def block(self, above: Node, kind: str, **facts: Any) -> Node:
        parent = {"type": f"{above.object}_id", f"{above.object}_id": above.id}
        node = self.put("block", parent, type=kind, **{kind: facts})
        above.children.append(node.id)
        return node

    def file_block(self, above: Node, kind: str, name: str, data: bytes) -> Node:
        node = self.block(above, kind, caption=[], type="file", name=name)
        node.file = name
        self.storage.files[node.id] = data
        return node

    def edit(self, node: Node) -> None:
        node.edited = self.now

    # What the API says

    def date(self) -> str:
        return format_datetime(self.now, usegmt=True)

    def problem(self, status: int, message: str) -> Any:
        codes = {400: "validation_error", 401: "unauthorized", 404: "object_not_found", 429: "rate_limited"}
        return {"object": "error", "status": status, "code": codes.get(status, "error"), "message": message}

    def answer(self, call: Call) -> Reply:
        if call.headers.get("authorization") != f"Bearer {self._token}":
            raise Refused(401, "API token is invalid.")
        if call.headers.get("notion-version") != "2025-09-03":
            raise Refused(400, "Notion-Version header failed validation")
        identity = "([0-9a-f-]{32,36})"
        routes: list[tuple[str, str, Callable[..., Reply]]] = [
            ("GET", "/v1/users/me", self._me),
            ("POST", "/v1/search", self._search),
            ("POST", f"/v1/data_sources/{identity}/query", self._query),
            ("GET", f"/v1/(page|database|data_source|block)s/{identity}", self._one),
            ("GET", f"/v1/blocks/{identity}/children", self._children),
        ]
        for method, pattern, route in routes:
            match = re.fullmatch(pattern, call.path)
            if match and call.method == method:
                return route(call, *match.groups())
        raise Refused(400, f"Invalid request URL: {call.path}")

    def _me(self, call: Call) -> Reply:
        call.only()
        return Reply(content={"object": "user", "id": self.bot, "type": "bot", "bot": {"workspace_name": "Home"}})

    def _search(self, call: Call) -> Reply:
        unknown = set(call.body) - {"filter", "sort", "page_size", "start_cursor", "query"}
        if unknown or call.body["filter"].get("property") != "object":
            raise Refused(400, "body failed validation")
        kind, sort = call.body["filter"]["value"], call.body["sort"]
        if kind not in ("page", "data_source") or sort["timestamp"] != "last_edited_time":
            raise Refused(400, "body failed validation")
        found = [node for node in self.nodes.values() if node.object == kind and self._seen(node)]
        found = [node for node in found if not node.unsearched and (node.lingers or not node.in_trash)]
        found.sort(key=lambda node: self._minute(node), reverse=sort["direction"] == "descending")
        return self._listed(found, call.body)

    def _query(self, call: Call, source: str) -> Reply:
        if set(call.body) - {"filter", "sorts", "page_size", "start_cursor"}:
            raise Refused(400, "body failed validation")
        self._node("data_source", source)
        rows = [
            node
            for node in self.nodes.values()
            if _plain(node.parent.get("data_source_id", "")) == _plain(source) and not node.in_trash
        ]
        return self._listed(rows, call.body)

    def _one(self, call: Call, kind: str, identity: str) -> Reply:
        call.only()
        node = self._node(kind, identity)
        return Reply(content=self._told(node))

    def _children(self, call: Call, identity: str) -> Reply:
        call.only("page_size", "start_cursor")
        node = self._node("", identity)
        found = [self.nodes[child] for child in node.children if not self.nodes[child].in_trash]
        asked = {"page_size": call.number("page_size", 100, 100)}
        if call.one("start_cursor"):
            asked |= {"start_cursor": call.one("start_cursor")}
        return self._listed(found, asked, as_blocks=True)

    def _listed(self, found: Sequence[Node], body: dict[str, Any], as_blocks: bool = False) -> Reply:
        cursor, size = body.get("start_cursor"), min(body.get("page_size", 100), self.page_limit)
        if body.get("page_size", 100) > 100:
            raise Refused(400, "page_size should be <= 100")
        start = int(cursor.removeprefix("at-")) if cursor else 0
        some, more = found[start : start + size], found[start + size :]
        return Reply(
            content={
                "object": "list",
                "results": [self._told(node, as_blocks) for node in some],
                "has_more": bool(more),
                "next_cursor": f"at-{start + size}" if more else None,
            }
        )

    def _node(self, kind: str, identity: str) -> Node:
        for node in self.nodes.values():
            if _plain(node.id) == _plain(identity) and (not kind or node.object == kind) and self._seen(node):
                return node
        raise Refused(404, f"Could not find {kind} with ID: {identity}.")

    def _seen(self, node: Node) -> bool:
        return node.shared

    def _told(self, node: Node, as_block: bool = False) -> dict[str, Any]:
        minute = self._minute(node).strftime("%Y-%m-%dT%H:%M:00.000Z")
        told = {
            "object": node.object,
            "id": node.id,
            "parent": node.parent,
            "in_trash": node.in_trash,
            "archived": node.in_trash,
            "last_edited_time": minute,
            **node.facts,
        }
        if node.object == "block":
            told |= {"has_children": bool(node.children)}
            if node.file:
                kind = node.facts["type"]
                told[kind] = told[kind] | {"file": self.storage.signed(node.id, node.file)}
        elif as_block:
            title = "".join(one["plain_text"] for one in node.facts["properties"]["Name"]["title"])
            told = told | {
                "object": "block",
                "type": "child_page",
                "child_page": {"title": title},
                "has_children": True,
            }
            told.pop("properties")
        else:
            told |= {"url": f"https://www.notion.so/{_plain(node.id)}"}
        if node.object == "page" and "properties" in told:
            told["properties"] = {name: self._property(one) for name, one in told["properties"].items()}
        return told

    def _property(self, one: dict[str, Any]) -> dict[str, Any]:
        if one["type"] != "files":
            return one
        return one | {
            "files": [
                file | {"file": self.storage.signed(file["name"], file["name"])} if file["type"] == "file" else file
                for file in one["files"]
            ]
        }

    def _minute(self, node: Node) -> datetime:
        return node.edited.replace(second=0, microsecond=0)

    def later(self, **passed: int) -> None:
        self.now += timedelta(**passed)


class Storage(Hosted):
    """Where files lie: at addresses that are signed anew each time, of which the last alone holds."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self._signatures: dict[str, str] = {}
        self._count = itertools.count(1)

    def signed(self, name: str, title: str) -> dict[str, Any]:
        self._signatures[name] = f"signature{next(self._count)}"
        return {
            "url": f"{self.url}/{name}/{title}?X-Amz-Signature={self._signatures[name]}",
            "expiry_time": "2026-05-01T13:00:00.000Z",
        }

    def answer(self, call: Call) -> Reply:
        name = call.path.split("/")[1]
        if "authorization" in call.headers:
            raise Refused(400, "Only one auth mechanism allowed")
        if self._signatures.get(name) != call.one("X-Amz-Signature"):
            raise Refused(403, "Request has expired")
        return Reply(content=self.files[name])


def text(plain: str, href: str | None = None, kind: str = "text", **annotations: bool) -> list[dict[str, Any]]:
    """A rich text of one part."""
    return [{"type": kind, kind: {}, "plain_text": plain, "href": href, "annotations": annotations}]


def _plain(identity: str) -> str:
    return identity.replace("-", "")
