"""What one parser process may use."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024
ALARM_SECONDS = 5.0
"""After its time a process ends itself so much later, should its parent fail to end it."""


@dataclass(frozen=True)
class Limits:
    """The bounds of one document's parsing and of the life of the process that does it."""

    seconds: float = 60.0
    """Wall clock for one document, or for one picture of text in it, and its share of processor time."""
    picture_seconds: float = 600.0
    """Wall clock for one document and all the pictures of text that it asked for more time over."""
    silence_seconds: float = 20.0
    """The longest that the process may do nothing over a document: use no processor, wait for no disk."""
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
        """The most that a reply's body may take: blocks, text, and attachments, which are part of what came in."""
        return 16 * self.blocks + self.text_bytes + self.input_bytes

    @property
    def header_bytes(self) -> int:
        """The most that a reply's header may take: title, metadata, and the names of attachments."""
        return 8 * MIB
