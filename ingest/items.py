"""What a source has of a document, beside what the catalog has of it: new, changed, moved, or as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.attachments import carrier, numbered, placed_under
from core.documents import Parsed
from core.errors import UnreadableDocument
from governance.access.rules import Decision
from governance.access.sets import lists_digest
from ingest.ledger import Known

PARSER_VERSION = "5"
"""Raised when parsing or chunking changes what comes out, so that unchanged files are read again."""

# These end with the circumstances, not with the bytes, so the next run tries again.
PASSING_VERDICTS = frozenset({"timeout", "oom", "crash", "unreadable"})

# Content hash and suffix: the same bytes under another suffix may be read as another format.
Content = tuple[str, str]


@dataclass(frozen=True)
class Item:
    """One document of a source, not yet read; `load` raises `OSError` or `UnreadableDocument`.

    `name` is its file name where the external id does not end in one; an equal `revision` says, without reading it,
    that its bytes are the same (empty: they have to be read to know).
    """

    external_id: str
    uri: str
    decision: Decision
    load: Callable[[], bytes]
    name: str = ""
    revision: str = ""

    @property
    def file_name(self) -> str:
        """The name that tells kinds of text apart, and stands in for a title."""
        return self.name or Path(self.external_id).name


@dataclass(frozen=True)
class Listing:
    """What a source has now. `complete` says that what is not listed is not there.

    `decide` gives the present decision for a document the catalog has, or None where the source cannot tell.
    """

    items: Sequence[Item]
    decide: Callable[[str], Decision | None]
    complete: bool


def attached_items(item: Item, parsed: Parsed, known: Mapping[str, Known]) -> list[Item]:
    """What a document carries, as documents of their own that its readers may read, each at a place of its own.

    One whose place a document has that is no attachment of this one gets another name: neither may take the other's
    readers over.
    """
    taken = {key for key, one in known.items() if carrier(one) != item.external_id}
    items = []
    for attachment in parsed.attachments:
        places = (placed_under(item.external_id, item.uri, name) for name in numbered(attachment.name))
        external_id, uri = next(place for place in places if place[0] not in taken)
        taken.add(external_id)
        items.append(Item(external_id, uri, item.decision, attachment.load))
    return items


def by_content(missing: dict[str, Known]) -> dict[Content, Known]:
    """Documents whose files are gone, by what a moved file shares with them; of several the first by external id."""
    found: dict[Content, Known] = {}
    for _, one in sorted(missing.items()):
        if one.state == "ready":
            found.setdefault((one.content_hash, Path(one.external_id).suffix), one)
    return found


def unreadable(error: OSError | UnreadableDocument) -> UnreadableDocument:
    """Why an item's bytes could not be had, as its owner is told."""
    if isinstance(error, UnreadableDocument):
        return error
    reason = f"the file could not be read ({error.strerror or error}); check its permissions"
    return UnreadableDocument("unreadable", reason)


def differs(known: Known, decision: Decision) -> bool:
    """Whether a document's present rules are others than these."""
    return known.rule != decision.rule or known.access_digest != lists_digest(decision.lists)


def same_revision(known: Known, item: Item, attachments: Iterable[Known] = ()) -> bool:
    """Whether the source itself says that these are the bytes that were read already; see `unchanged`."""
    return bool(item.revision) and known.revision == item.revision and unchanged(known, known.content_hash, attachments)


def stands_elsewhere(known: Known, item: Item) -> bool:
    """Whether the source has given the same bytes another name, place or revision."""
    now = (item.uri, item.name, item.revision)
    return bool(item.revision) and (known.uri, known.name, known.revision) != now


def unchanged(known: Known, hash_: str, attachments: Iterable[Known] = ()) -> bool:
    """Whether these bytes have been read already, with a result that reading them again would only repeat.

    `attachments` are those the document carries: one that may be read next time can only be had through it.
    """
    return known.content_hash == hash_ and all(map(_settled, (known, *attachments)))


def _settled(known: Known) -> bool:
    failed_for_good = known.state == "failed" and known.failure_verdict not in PASSING_VERDICTS
    return (known.state == "ready" or failed_for_good) and known.parser == PARSER_VERSION
