"""How far a mailbox was read: which messages of which folders were listed, as a cursor's text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ingest.connectors.mailbox_names import decoded
from ingest.connectors.protocol import CursorExpired


@dataclass(frozen=True)
class SeenFolder:
    """How far a folder was read: its messages, and its next UID and their number when they were read."""

    validity: int
    uids: set[int] = field(default_factory=set)
    seen_at: tuple[int, int] = (0, -1)

    def ids(self, raw: str, uids: Iterable[int]) -> tuple[str, ...]:
        return tuple(f"{decoded(raw)}/{self.validity}.{uid}" for uid in sorted(uids))


@dataclass
class MailboxCursor:
    """What a cursor says: the messages that were listed, by folder; `whole` while a listing of everything is open."""

    of: str
    folders: dict[str, SeenFolder]
    whole: bool

    @classmethod
    def read(cls, cursor: str | None, of: str) -> MailboxCursor:
        if cursor is None:
            return cls(of, {}, True)
        try:
            kept = json.loads(cursor)
            if kept["of"] != of:
                raise ValueError("another mailbox")
            folders = {
                str(raw): SeenFolder(int(validity), read_ranges(uids), (int(following), int(messages)))
                for raw, (validity, uids, following, messages) in kept["folders"].items()
            }
            return cls(of, folders, bool(kept["whole"]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CursorExpired("the cursor is none of a mailbox") from error

    def written(self) -> str:
        folders = {
            raw: (folder.validity, as_ranges(sorted(folder.uids)), *folder.seen_at)
            for raw, folder in self.folders.items()
        }
        return json.dumps({"of": self.of, "whole": self.whole, "folders": folders}, separators=(",", ":"))


def as_ranges(uids: Sequence[int]) -> str:
    """Sorted numbers as a set of ranges (RFC 3501, sequence-set): `1:3,7`."""
    ranges: list[list[int]] = []
    for uid in uids:
        if ranges and ranges[-1][1] == uid - 1:
            ranges[-1][1] = uid
        else:
            ranges.append([uid, uid])
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in ranges)


def read_ranges(text: str) -> set[int]:
    """The numbers of a set of ranges; raises `ValueError` for more than any mailbox holds."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition(":")
        one, other = sorted((int(first), int(last or first)))
        if other - one > 50_000_000:
            raise ValueError("no mailbox holds so many messages")
        found.update(range(one, other + 1))
    return found
