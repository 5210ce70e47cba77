"""What one parser process may use."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """The bounds of one document's parsing and of the life of the process that does it."""

    seconds: float = 60.0
    """Wall clock for one document, and its share of processor time."""
    start_seconds: float = 60.0
    """Wall clock for the process to start and load its libraries."""
    memory_bytes: int = 2048 * MIB
    """Address space of the process (RLIMIT_AS)."""
    input_bytes: int = 100 * MIB
    text_bytes: int = 50 * MIB
    """The text of one document, in UTF-8."""
    blocks: int = 500_000
    open_files: int = 64
    documents_per_process: int = 500
    resident_bytes: int = 768 * MIB
    """A process that holds more than this after a document is replaced, so that leaks do not add up."""

    @property
    def body_bytes(self) -> int:
        """The most that a reply's body may take: the text, and attachments, which are part of what came in."""
        return self.text_bytes + self.input_bytes

    @property
    def header_bytes(self) -> int:
        """The most that a reply's header may take: at most 64 bytes for each block, and its title and metadata."""
        return 64 * self.blocks + MIB
