"""What one conversion by LibreOffice may use."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.parsing.limits import MIB


@dataclass(frozen=True)
class OfficeLimits:
    """The bounds of one conversion: its start takes about two seconds, a long document a few more."""

    seconds: float = 120.0
    memory_bytes: int = 4096 * MIB
    """Address space of each of its processes (RLIMIT_AS)."""
    file_bytes: int = 200 * MIB
    """The largest file that it may write."""
    open_files: int = 512
