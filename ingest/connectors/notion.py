"""Notion (API 2025-09-03): the pages that an integration was given, rows of databases among them, and their files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import islice
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from core.errors import NotFound, SourceRefused, UnreadableDocument
from ingest.connectors.answers import batched, needed, one_page, records, told_of
from ingest.connectors.api import Api, Patience
from ingest.connectors.cursors import Cursor, fingerprint, read_cursor
from ingest.connectors.hypertext import document, facts, file_name, paragraph
from ingest.connectors.notion_blocks import Block, block_of, blocks_html, property_rows, title_of
from ingest.connectors.protocol import Listed, Page, WithoutPermissions

API_VERSION = "2025-09-03"
SETTLED = timedelta(minutes=2)
"""After so long a page's `last_edited_time`, which names a minute, is no longer that of edits still to come."""
_VERSION = 1
_DEEPEST = 50
_MOST_BLOCKS = 20_000
_FILE_BLOCKS = frozenset({"file", "pdf"})
# Their blocks are documents of their own.
_OTHERS = frozenset({"child_page", "child_database"})
_ID = re.compile(r"[0-9a-f]{32}")


class NotionSettings(BaseModel):
    """What of a workspace is brought in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    roots: tuple[str, ...] = Field(
        (),
        description="ids of pages and databases; only what stands below them is brought in; none: all that is shared",
    )
    files: bool = Field(True, description="bring in the files and PDFs on pages")
    page_documents: int = Field(100, ge=1, le=100, description="documents asked for at once")
    base_url: str = Field("https://api.notion.com", description="where the API is")

    @field_validator("roots")
    @classmethod
    def _are_ids(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(_plain_id(one) for one in value)
        if not all(map(_ID.fullmatch, found)):
            raise ValueError("write ids as they stand at the end of a page's address: 32 digits and letters a to f")
        return found

    @field_validator("base_url")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "https" and (parts.scheme != "http" or parts.hostname not in ("127.0.0.1", "localhost")):
            raise ValueError("write an https address: any other would send the token in the clear")
        return value.rstrip("/")


class Notion(WithoutPermissions):
    """One integration's pages. A page is `pages/ID`, a file on it `files/…`; ids survive renames and moves.

    Notion's search may leave pages out, so that one which it no longer names is asked for before it counts as gone.
    Times of change name a minute: what was changed within the last two is read again when they have passed.
    """

    def __init__(
        self,
        settings: NotionSettings,
        secret: SecretStr,
        patience: Patience | None = None,
        max_document_bytes: int = 100_000_000,
    ) -> None:
        self._settings, self._limit = settings, max_document_bytes
        headers = {"Authorization": f"Bearer {secret.get_secret_value()}", "Notion-Version": API_VERSION}
        self._api = Api("Notion", settings.base_url, headers, "the integration's token", patience)
        self._now = datetime.now(UTC)
        self._above: dict[str, Mapping[str, Any] | None] = {}

    def __repr__(self) -> str:
        return f"Notion({self._settings.base_url!r})"

    def changes(self, cursor: str | None) -> Iterator[Page]:
        """The pages that are new or have changed since the cursor was written, with their files; then what is gone."""
        # Another integration sees other pages: what it does not see must not count as gone page by page.
        integration = self._api.get("v1/users/me")
        who = integration.get("id") if isinstance(integration, dict) else None
        of = fingerprint("notion", _VERSION, who, self._settings.model_dump(mode="json"))
        told = read_cursor(_Told, cursor, of) if cursor is not None else _Told(of=of, whole=True, pages={})
        known, whole = dict(told.pages), told.whole
        tree = self._tree()
        for identity in sorted(known.keys() - tree.keys()):
            found = self._still_there(identity)
            if found is not None:
                tree[identity] = found
        wanted = {identity: page for identity, page in tree.items() if page.get("object") == "page"}
        if self._settings.roots:
            wanted = {identity: page for identity, page in wanted.items() if self._is_below(page, tree)}
        changed = [
            identity
            for identity in sorted(wanted)
            if identity not in known or known[identity][0] != _short(self._revision(wanted[identity], tree))
        ]
        for batch in batched(changed, self._settings.page_documents):
            listed: list[Listed] = []
            gone: list[str] = []
            for identity in batch:
                page = self._listed(wanted[identity], tree)
                files = self._files(wanted[identity]) if self._settings.files else []
                before = known.get(identity, [])[1:]
                known[identity] = [_short(page.revision), *(one.external_id for one in files)]
                gone += sorted(set(before) - set(known[identity]))
                listed += [page, *files]
            yield Page(listed, str(_Told(of=of, whole=whole, pages=known)), gone=gone, whole=whole)
        gone = []
        for identity in sorted(known.keys() - wanted.keys()):
            gone += [f"pages/{identity}", *known.pop(identity)[1:]]
        yield Page((), str(_Told(of=of, whole=False, pages=known)), gone=gone, whole=whole, last=True)

    def fetch(self, document: Listed) -> bytes:
        kind, _, place = document.external_id.partition("/")
        if kind == "files":
            return self._api.download(self._address(place), self._limit)
        page = self._api.get(f"v1/pages/{place}")
        if not isinstance(page, dict) or _is_away(page):
            raise NotFound("Notion page", document.external_id)
        return self._rendered(page, document.reference)

    def close(self) -> None:
        self._api.close()

    def _tree(self) -> dict[str, dict[str, Any]]:
        """Every page and data source that the integration is shown, by id.

        The search names what was shared with the integration itself, the rest as far as it has come; rows are
        asked for, too.
        """
        tree: dict[str, dict[str, Any]] = {}
        self._above.clear()
        # The oldest change first: what changes meanwhile is named again at the end.
        oldest_first = {"timestamp": "last_edited_time", "direction": "ascending"}
        for kind in ("data_source", "page"):
            body = {"filter": {"property": "object", "value": kind}, "sort": oldest_first}
            for found in self._all_of("v1/search", body):
                tree[_plain_id(found.get("id"))] = found
        for source in [identity for identity, found in tree.items() if found.get("object") == "data_source"]:
            try:
                for found in self._all_of(f"v1/data_sources/{source}/query", {}, of_one=True):
                    tree.setdefault(_plain_id(found.get("id")), found)
            except (NotFound, SourceRefused):
                continue  # It was taken away between the two calls, or is of a kind that cannot be asked.
        return {identity: found for identity, found in tree.items() if not _is_away(found)}

    def _still_there(self, identity: str) -> dict[str, Any] | None:
        """A page that no list names, where it is neither in the bin nor taken from the integration."""
        try:
            found = self._api.get(f"v1/pages/{identity}")
        except (NotFound, SourceRefused):
            return None
        return None if _is_away(found) else found

    def _all_of(self, path: str, body: Mapping[str, Any], of_one: bool = False) -> Iterator[dict[str, Any]]:
        asked: dict[str, Any] = {**body, "page_size": self._settings.page_documents}
        while True:
            refused = frozenset({HTTPStatus.BAD_REQUEST}) if of_one else frozenset[int]()
            answer = self._api.request("POST", path, body=asked, accepted=refused)
            if answer.status in refused:
                raise NotFound("Notion table", path)
            self._now = _moment(answer.headers)
            yield from one_page(answer.json, "results", "Notion")
            following = answer.json.get("next_cursor") if answer.json.get("has_more") else None
            if not following or following == asked.get("start_cursor"):
                return
            asked["start_cursor"] = following

    def _is_below(self, page: Mapping[str, Any], tree: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether a page is one of the roots or stands below one; False where that cannot be told."""
        at: Mapping[str, Any] | None = page
        for _ in range(_DEEPEST):
            if at is None:
                return False
            if _plain_id(at.get("id")) in self._settings.roots:
                return True
            above = _parent(at)
            if above is None:
                return False
            if above[1] in self._settings.roots:
                return True
            at = tree.get(above[1]) or self._asked_for(*above)
        return False

    def _asked_for(self, kind: str, identity: str) -> Mapping[str, Any] | None:
        """A page's parent that no list names: mostly a block, such as a column."""
        path = {"block_id": "blocks", "database_id": "databases", "data_source_id": "data_sources"}.get(kind, "pages")
        if identity not in self._above:
            try:
                found = told_of(self._api, f"v1/{path}/{identity}")
            except (NotFound, SourceRefused):
                found = None
            self._above[identity] = found if isinstance(found, dict) else None
        return self._above[identity]

    def _path(self, page: Mapping[str, Any], tree: Mapping[str, Mapping[str, Any]]) -> str:
        """The titles above a page, as far as pages and databases stand in each other."""
        titles: list[str] = []
        above = _parent(page)
        while above is not None and above[1] in tree and len(titles) < _DEEPEST:
            titles.append(title_of(tree[above[1]]))
            parent = tree[above[1]]
            # A table of rows stands in a database, which stands in a page.
            above = _parent({"parent": parent.get("database_parent") or parent.get("parent")})
        return " › ".join(reversed([title for title in titles if title]))

    def _revision(self, page: Mapping[str, Any], tree: Mapping[str, Mapping[str, Any]]) -> str:
        # What stands above a page is written on it.
        return f"{self._settled(page)}.{fingerprint(_VERSION, self._path(page, tree))}"

    def _settled(self, found: Mapping[str, Any]) -> str:
        """When something was last changed; marked with the time of this look where more may follow in that minute."""
        changed = str(found.get("last_edited_time") or "")
        try:
            fresh = self._now - datetime.fromisoformat(changed.replace("Z", "+00:00")) < SETTLED
        except (ValueError, TypeError):
            fresh = True
        return f"{changed}~{self._now.isoformat()}" if fresh else changed

    def _listed(self, page: Mapping[str, Any], tree: Mapping[str, Mapping[str, Any]]) -> Listed:
        return Listed(
            f"pages/{_plain_id(page.get('id'))}",
            file_name(title_of(page)),
            str(page.get("url") or f"https://www.notion.so/{_plain_id(page.get('id'))}"),
            self._revision(page, tree),
            reference=self._path(page, tree),
        )

    def _files(self, page: Mapping[str, Any]) -> list[Listed]:
        """The files in a page's properties and on it; what lies on other servers is none of Notion's."""
        identity = _plain_id(page.get("id"))
        address = str(page.get("url") or "")
        found = []
        for name, value in (page.get("properties") or {}).items():
            for file in records(value, "files"):
                if file.get("type") == "file":
                    place = f"{identity}/{fingerprint(value.get('id') or name, file.get('name'))}"
                    title = file_name(str(file.get("name") or ""), "")
                    found.append(Listed(f"files/{place}", title, address, self._settled(page)))
        try:
            blocks = list(islice(self._walk(identity), _MOST_BLOCKS))
        except NotFound:
            return found
        for block in blocks:
            kind = block.get("type")
            file = block.get(str(kind)) or {}
            if kind in _FILE_BLOCKS and file.get("type") == "file":
                place = _plain_id(block.get("id"))
                title = file_name(_file_title(file), "")
                found.append(Listed(f"files/{place}", title, f"{address}#{place}", self._settled(block)))
        return found

    def _address(self, place: str) -> str:
        """Where a file lies at the moment: the address is signed, and holds for an hour."""
        identity, _, name = place.partition("/")
        if name:
            page = self._api.get(f"v1/pages/{identity}")
            for key, value in (page.get("properties") or {}).items() if not _is_away(page) else ():
                for file in records(value, "files"):
                    same = fingerprint(value.get("id") or key, file.get("name")) == name
                    if same and file.get("type") == "file" and file.get("file", {}).get("url"):
                        return str(file["file"]["url"])
        else:
            block = self._api.get(f"v1/blocks/{identity}")
            file = block.get(str(block.get("type"))) or {}
            if not _is_away(block) and file.get("type") == "file" and file.get("file", {}).get("url"):
                return str(file["file"]["url"])
        raise NotFound("Notion file", place)

    def _walk(self, identity: str, depth: int = 0) -> Iterator[dict[str, Any]]:
        """Every block of a page in its order; those within another follow it."""
        for block in self._children(identity):
            yield block
            if block.get("has_children") and block.get("type") not in _OTHERS and depth < _DEEPEST:
                try:
                    yield from self._walk(str(block.get("id")), depth + 1)
                except NotFound:
                    continue  # A block that mirrors one which the integration may not see.

    def _children(self, identity: str) -> Iterator[dict[str, Any]]:
        asked: dict[str, Any] = {"page_size": 100}
        while True:
            found = told_of(self._api, f"v1/blocks/{identity}/children", asked)
            for block in one_page(found, "results", "Notion"):
                if not _is_away(block):
                    yield block
            following = found.get("next_cursor") if found.get("has_more") else None
            if not following or following == asked.get("start_cursor"):
                return
            asked["start_cursor"] = following

    def _blocks(self, identity: str, allowance: list[int], depth: int = 0) -> list[Block]:
        blocks = []
        for found in self._children(identity):
            allowance[0] -= 1
            if allowance[0] < 0:
                raise UnreadableDocument("too_large", f"The page has more than {_MOST_BLOCKS:,} blocks; split it.")
            block = block_of(found)
            if found.get("has_children") and block.kind not in _OTHERS and depth < _DEEPEST:
                try:
                    block.within = self._blocks(str(found.get("id")), allowance, depth + 1)
                except NotFound:
                    pass
            blocks.append(block)
        return blocks

    def _rendered(self, page: Mapping[str, Any], path: str) -> bytes:
        try:
            blocks = self._blocks(_plain_id(page.get("id")), [_MOST_BLOCKS])
        except NotFound as error:
            raise UnreadableDocument("unsupported", "Notion's API does not tell what stands on this page.") from error
        data = document(
            title_of(page),
            paragraph(path),
            facts(property_rows(page)),
            blocks_html(blocks),
        )
        if len(data) > self._limit:
            raise UnreadableDocument("too_large", f"It is longer than the limit of {self._limit:,} bytes; split it.")
        return data


def open_notion(settings: NotionSettings, secret: SecretStr | None, max_document_bytes: int = 100_000_000) -> Notion:
    """A workspace as an integration sees it; raises `SourceRefused` without its token."""
    return Notion(settings, needed(secret, "Notion"), max_document_bytes=max_document_bytes)


class _Told(Cursor):
    """What was listed: of each page a sign of its revision, and after it the ids of its files."""

    whole: bool
    pages: dict[str, list[str]]


def _plain_id(value: Any) -> str:
    """An id without the dashes, which Notion writes in some places and not in others."""
    return str(value or "").replace("-", "").lower()


def _short(revision: str) -> str:
    """A sign of a revision: a cursor holds one for every page."""
    return fingerprint(revision)


def _parent(found: Mapping[str, Any]) -> tuple[str, str] | None:
    """The kind and the id of what something stands in, None at the top."""
    parent = found.get("parent")
    if not isinstance(parent, dict):
        return None
    kind = str(parent.get("type") or "")
    return (kind, _plain_id(parent[kind])) if isinstance(parent.get(kind), str) else None


def _is_away(found: Any) -> bool:
    return not isinstance(found, dict) or bool(found.get("in_trash") or found.get("archived"))


def _moment(headers: Mapping[str, str]) -> datetime:
    """The source's own time: ours may be another."""
    try:
        return parsedate_to_datetime(headers.get("date", "")).astimezone(UTC)
    except (ValueError, TypeError):
        return datetime.now(UTC)


def _file_title(file: Mapping[str, Any]) -> str:
    address = (file.get("file") or {}).get("url") or ""
    return str(file.get("name") or unquote(urlsplit(str(address)).path.rpartition("/")[2]) or "file")
