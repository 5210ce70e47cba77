"""How far a listing of a web site has come: what is to be asked, what is known, and the cursor that holds both."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from typing import Any

from ingest.connectors.protocol import CursorExpired

CURSOR_BYTES = 8 * 1024 * 1024
"""What a cursor may hold before it is compressed, by `_WEIGHT` and the length of addresses: about 1 MB afterwards."""
QUERIES = 1_000
"""Addresses that differ in their query alone."""
REPEATED = 4
"""How often one step may stand in a path; a relative link that leads to its own page makes such paths without end."""
_WEIGHT = 90
"""Bytes that are kept of a page beside its address: its validators and its name."""
_VERSION = 1


@dataclass(frozen=True)
class Entry:
    """What one address was when it was last asked; without a revision it is no document."""

    depth: int
    revision: str = ""
    name: str = ""
    etag: str = ""
    modified: str = ""
    lastmod: str = ""
    hashed: bool = False


@dataclass
class WebListing:
    """One listing of a site, by path and query: `waiting` (with depth and sitemap's lastmod) in the order of asking.

    `before` is what the last listing has found and this one has not asked yet, `seen` what this one has asked. `cut`
    says that addresses were left out because one of the limits was reached, `runs` counts listings.
    """

    waiting: dict[str, tuple[int, str]] = field(default_factory=dict)
    before: dict[str, Entry] = field(default_factory=dict)
    seen: dict[str, Entry] = field(default_factory=dict)
    cut: bool = False
    runs: int = 0
    is_done: bool = False
    weight: int = 0
    _queries: dict[str, int] = field(default_factory=dict)

    def add(self, target: str, depth: int, most_pages: int, most_depth: int, lastmod: str = "") -> str | None:
        """Let an address wait for its turn, unless it had or has one; returns why it was left out, if it was."""
        if target in self.seen:
            return None
        if target in self.waiting:
            known_depth, known_lastmod = self.waiting[target]
            self.waiting[target] = (min(known_depth, depth), known_lastmod or lastmod)
            return None
        path, query, _ = target.partition("?")
        steps = path.split("/")
        if max(steps.count(step) for step in steps) > REPEATED:
            return None
        limit = ""
        if len(self.seen) + len(self.waiting) >= most_pages:
            limit = f"the site has more than {most_pages:,} pages here; raise most_pages or narrow url"
        elif depth > most_depth:
            limit = f"it lies more than {most_depth} links from the first page; raise most_depth or leave it out"
        elif query and self._queries.get(path, 0) >= QUERIES:
            limit = f"there are more than {QUERIES:,} queries of its path; leave the path out (leave_out)"
        elif self.weight > CURSOR_BYTES:
            limit = "the site has more addresses than are kept; narrow url"
        if limit:
            is_first, self.cut = not self.cut, True
            return limit if is_first else None
        self._enter(target, depth, lastmod)
        return None

    def _enter(self, target: str, depth: int, lastmod: str) -> None:
        self.waiting[target] = (depth, lastmod)
        self._count(target)

    def _count(self, target: str) -> None:
        path, query, _ = target.partition("?")
        self._queries[path] = self._queries.get(path, 0) + bool(query)
        self.weight += len(target) + _WEIGHT

    def next(self) -> tuple[str, int, str]:
        target = next(iter(self.waiting))
        depth, lastmod = self.waiting.pop(target)
        return target, depth, lastmod

    def begun_anew(self, start: str) -> WebListing:
        """The next listing: what is known is asked again, since a page that has not changed is not read for its links.

        Every tenth, and one after a listing that was cut, asks for all of it in full and reads all links.
        """
        in_full = self.cut or self.runs % 10 == 9
        listing = WebListing(runs=self.runs + 1)
        for target, entry in self.seen.items():
            if in_full and not entry.revision:
                continue
            listing.before[target] = _unvalidated(entry) if in_full else entry
        for target in (start, *listing.before):
            if target not in listing.waiting:
                listing._enter(target, listing.before[target].depth if target in listing.before else 0, "")
        return listing

    def cursor(self, site: str) -> str:
        """All of this as text; `site` tells it from another site's."""
        held = {
            "v": _VERSION,
            "site": site,
            "waiting": [[target, *where] for target, where in self.waiting.items()],
            "before": _packed(self.before.items()),
            "seen": _packed(self.seen.items()),
            "cut": self.cut,
            "runs": self.runs,
            "done": self.is_done,
        }
        return base64.b85encode(zlib.compress(json.dumps(held).encode("ascii"))).decode("ascii")

    @classmethod
    def of(cls, cursor: str, site: str) -> WebListing:
        """Raises `CursorExpired` for what is no cursor of this site."""
        try:
            inflater = zlib.decompressobj()
            data = inflater.decompress(base64.b85decode(cursor), 8 * CURSOR_BYTES)
            held = json.loads(data)
            if (held["v"], held["site"]) != (_VERSION, site):
                raise CursorExpired
            listing = cls(
                {str(target): (int(depth), str(lastmod)) for target, depth, lastmod in held["waiting"]},
                _unpacked(held["before"]),
                _unpacked(held["seen"]),
                bool(held["cut"]),
                int(held["runs"]),
                bool(held["done"]),
            )
        except (ValueError, KeyError, TypeError, zlib.error, RecursionError) as error:
            raise CursorExpired from error
        for target in (*listing.waiting, *listing.seen):
            listing._count(target)
        return listing


def _unvalidated(entry: Entry) -> Entry:
    return Entry(entry.depth, entry.revision, entry.name, hashed=entry.hashed)


def _packed(entries: Iterable[tuple[str, Entry]]) -> list[list[Any]]:
    return [[target, *astuple(one)] for target, one in entries]


def _unpacked(rows: list[list[Any]]) -> dict[str, Entry]:
    return {
        str(target): Entry(int(depth), str(revision), str(name), str(etag), str(modified), str(lastmod), bool(hashed))
        for target, depth, revision, name, etag, modified, lastmod, hashed in rows
    }
