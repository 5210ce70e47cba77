"""What documents carry within them, at every depth, opened within one budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from core.documents import Attachment, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.limits import MIB, Limits
from ingest.parsing.member_names import unused

DEPTH = 5
"""Containers within containers: the last whose contents are brought in."""
ENTRIES = 10_000
"""What all containers of one document list together, folders and links included."""
INFLATED_BYTES = 1024 * MIB
"""What all of them may be unpacked to together."""
CARRIED_BYTES = Limits.input_bytes
"""What is handed on together; a member beyond it is named as too large."""
# Deflate reaches at most 1032:1; files of real documents stay under 60:1, and only much of it can do harm.
RATIO = 200
RATIO_FROM_BYTES = 4 * MIB


class OverBudget(UnreadableDocument):
    """All of a document's containers together are more than is opened: nothing of it is read."""

    def __init__(self, what: str) -> None:
        super().__init__("hostile", f"The file {what}, like a decompression bomb; it was not read.")


def refuse_bomb(packed: int, unpacked: int) -> None:
    """Raises `UnreadableDocument` where so few bytes become so many; it alone is to blame, not what it came in."""
    if unpacked > RATIO_FROM_BYTES and unpacked > RATIO * packed:
        what = f"The file unpacks to more than {RATIO} times its size, like a decompression bomb; it was not read."
        raise UnreadableDocument("hostile", what)


@dataclass
class Budget:
    """What is left for one document and all that it carries."""

    entries: int = field(default_factory=lambda: ENTRIES)
    inflated_bytes: int = field(default_factory=lambda: INFLATED_BYTES)
    carried_bytes: int = field(default_factory=lambda: CARRIED_BYTES)

    def enter(self, entries: int = 1) -> None:
        """Account for what a container lists; raises `OverBudget`."""
        self.entries -= entries
        if self.entries < 0:
            raise OverBudget(f"holds more than {ENTRIES:,} entries in all")

    def inflate(self, size: int) -> None:
        """Account for bytes that come out of a compressed container; raises `OverBudget`."""
        self.inflated_bytes -= size
        if self.inflated_bytes < 0:
            raise OverBudget(f"unpacks to more than {INFLATED_BYTES // MIB:,} MiB in all")

    def carry(self, size: int) -> bool:
        """Whether so many bytes more can be handed on; they are accounted for if so."""
        fits = size <= self.carried_bytes
        self.carried_bytes -= size if fits else 0
        return fits


def no_room() -> UnreadableDocument:
    """Why one member is not handed on."""
    reason = f"The archive holds more than {CARRIED_BYTES // MIB} MiB and this is beyond; bring it in unpacked."
    return UnreadableDocument("too_large", reason)


Opener = Callable[[Attachment, Budget], tuple[Attachment, ...]]
"""What an attachment carries directly; raises whatever a parsing library raises."""


def with_all_carried(parsed: Parsed, budget: Budget, open_: Opener) -> Parsed:
    """`parsed`, its attachments joined by what they carry themselves, named by their path: `a.zip/b.eml/c.pdf`.

    One that cannot be opened stays as it is: when it is read itself, its owner is told why. Raises `OverBudget`.
    """
    return replace(parsed, attachments=tuple(_every(parsed.attachments, budget, open_)))


def _every(attachments: tuple[Attachment, ...], budget: Budget, open_: Opener) -> Iterator[Attachment]:
    """Depth first, each before what it carries, without recursion."""
    taken: set[str] = set()
    waiting = [(attachment, 1) for attachment in reversed(attachments)]
    while waiting:
        attachment, depth = waiting.pop()
        attachment = replace(attachment, name=unused(attachment.name, taken))
        if not budget.carry(len(attachment.data)):
            attachment = Attachment(attachment.name, b"", no_room())
        yield attachment
        if depth < DEPTH and attachment.refusal is None:
            inner = _opened(attachment, budget, open_)
            placed = (replace(one, name=f"{attachment.name}/{one.name}") for one in reversed(inner))
            waiting.extend((one, depth + 1) for one in placed)


def _opened(attachment: Attachment, budget: Budget, open_: Opener) -> tuple[Attachment, ...]:
    try:
        return open_(attachment, budget)
    except (OverBudget, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - parsing libraries raise anything; the attachment's own reading says what is wrong
        return ()
