"""Chains of records: who writes which, and the head of each, kept outside the database."""

from __future__ import annotations

import fcntl
import hmac
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from core.errors import Conflict
from governance.audit.durable import create_durably
from governance.audit.envelope import DIGEST, GENESIS, SLOTS, canonical

_LINE = re.compile(rb"(\d{20}) ([0-9a-f]{64}) ([0-9a-f]{64})\n")


@dataclass(frozen=True)
class Head:
    """The newest record of a chain: its sequence number (0 before the first) and its MAC."""

    sequence: int
    mac: bytes


FIRST_HEAD = Head(0, GENESIS)


@dataclass(frozen=True)
class ChainSlot:
    """One chain, held by this process alone until it is released or the process ends."""

    number: int
    folder: Path
    key: bytes
    lock: int  # a file descriptor

    @property
    def chain(self) -> str:
        return str(self.number)

    @property
    def path(self) -> Path:
        return self.folder / "heads" / self.chain

    def begin(self) -> None:
        """Make the head of a chain without records; it is on disk before the first record, so that a
        chain without a head has always lost it."""
        create_durably(self.path, _line(self.chain, FIRST_HEAD, self.key))

    def advance(self, head: Head, *, sync: bool = False) -> None:
        """Write down the newest record.

        The line is overwritten in place, within one sector: a crash leaves the old one or the new, and a full
        disk cannot refuse it. It is not synced with each record, since only a power cut can lose it, and then
        it names an earlier record, until the next one is written.
        """
        handle = os.open(self.path, os.O_WRONLY)
        try:
            os.pwrite(handle, _line(self.chain, head, self.key), 0)
            if sync:
                os.fsync(handle)
        finally:
            os.close(handle)

    def release(self) -> None:
        os.close(self.lock)


def free_slot(folder: Path, key: bytes, start: int = 0) -> ChainSlot:
    """Take the first chain from `start` that no process holds; raises `Conflict` when all are held.

    Short commands that follow each other therefore write one chain.
    """
    for name in ("chains", "heads"):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(start, SLOTS):
        lock = os.open(folder / "chains" / str(number), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        except OSError:
            os.close(lock)
            raise
        return ChainSlot(number, folder, key, lock)
    raise Conflict(f"All {SLOTS} audit chains in {folder} are held by other processes: stop some of them.")


def read_head(folder: Path, chain: str, key: bytes) -> Head | None:
    """The head of a chain, or None if it was not written with this key; raises `FileNotFoundError`."""
    for attempt in range(5):
        if attempt:
            time.sleep(0.005)  # a line read while it is being overwritten is half old and half new
        match = _LINE.fullmatch((folder / "heads" / chain).read_bytes())
        if match:
            head = Head(int(match[1]), bytes.fromhex(match[2].decode()))
            if hmac.compare_digest(match[0], _line(chain, head, key)):
                return head
    return None


def chains_with_heads(folder: Path) -> list[str]:
    """The chains that have a head, in the order of their numbers."""
    names = [path.name for path in (folder / "heads").glob("*") if path.name.isdecimal()]
    return sorted(names, key=int)


def _line(chain: str, head: Head, key: bytes) -> bytes:
    seal = hmac.digest(key, canonical((chain, head.sequence, head.mac)), DIGEST)
    return f"{head.sequence:020d} {head.mac.hex()} {seal.hex()}\n".encode()
