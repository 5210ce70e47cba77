"""Verification: every record is checked against the keys, and what was tampered with is located."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from core.errors import Conflict
from governance.audit.chain import FIRST_HEAD, Head, chains_with_heads, read_head
from governance.audit.envelope import COLUMNS, is_authentic
from governance.audit.keys import ChainKeys, KeyStore
from governance.audit.table import STORED, audit_records, engine_for_reading, is_empty

_CHAIN, _SEQUENCE, _PREVIOUS, _MAC = (COLUMNS.index(name) for name in ("chain", "sequence", "previous", "mac"))
_BATCH = 1000
_WAIT_S = 30.0

_UNREADABLE = "?"


@dataclass(frozen=True)
class Flaw:
    """A place where a chain is not as it was written. `sequence` is None where no record can be named."""

    chain: str
    sequence: int | None
    reason: str

    def __str__(self) -> str:
        place = f"record {self.sequence}" if self.sequence is not None else "no record"
        return f"Chain {self.chain}, {place}: {self.reason}."


@dataclass(frozen=True)
class Report:
    """What verification found: how much it read, and the first flaw of each chain that has one."""

    records: int
    chains: int
    flaws: tuple[Flaw, ...]

    @property
    def ok(self) -> bool:
        return not self.flaws

    @property
    def first(self) -> Flaw | None:
        return self.flaws[0] if self.flaws else None

    def __str__(self) -> str:
        if not self.flaws:
            return f"The audit log is whole: {self.records} records in {self.chains} chains."
        found = "\n".join(str(flaw) for flaw in self.flaws)
        return f"The audit log was tampered with. First bad record of each chain:\n{found}"


def verify(database: sa.Engine | Path, keys: KeyStore, folder: Path) -> Report:
    """Check every record of every chain against its MAC, its neighbours and its chain's head.

    Found and located: a record changed, removed, inserted, moved, doubled or chained anew without the key, and a
    tail cut off. Needs no writer and changes nothing; a log that is being written may be verified. Content is
    not decrypted, so destroyed keys do not matter. Not found: a log put back, heads and all, to an earlier state.
    Raises `Conflict` when the root key is missing although there are records.
    """
    # The heads come first: a record written in between is then beyond its head, which is no flaw.
    named = chains_with_heads(folder)
    try:
        chain_keys = keys.chain_keys()
    except Conflict:
        if named or not is_empty(database, _WAIT_S):
            raise
        return Report(records=0, chains=0, flaws=())
    walks = {chain: _Walk(chain, _head(folder, chain, chain_keys)) for chain in named}
    records, broken = 0, None
    try:
        for row in _stored(database):
            records += 1
            chain = str(row[_CHAIN])
            if chain not in walks:
                walks[chain] = _Walk(chain, None)
            walks[chain].meet(row, chain_keys.record)
    except (DBAPIError, UnicodeDecodeError) as error:  # SQLite's complaints quote what the damaged file holds
        if isinstance(database, sa.Engine):
            raise
        cause = error.orig if isinstance(error, DBAPIError) else error
        broken = Flaw(_UNREADABLE, None, f"the database cannot be read any further ({cause})")
    for walk in walks.values():
        walk.end()
    found = [walk.flaw for walk in walks.values() if walk.flaw]
    flaws = sorted([*found, broken] if broken else found, key=lambda flaw: flaw.sequence is None)
    return Report(records, len(walks), tuple(flaws))


class _Walk:
    """One chain, read in the order in which it was written."""

    def __init__(self, chain: str, head: Head | None) -> None:
        self.flaw: Flaw | None = None
        self._chain = chain
        self._head = head
        self._last = FIRST_HEAD

    def meet(self, row: Sequence[object], key: bytes) -> None:
        """Check the next row that claims to be of this chain."""
        expected = self._last.sequence + 1
        if not is_authentic(row, key):
            claimed = row[_SEQUENCE]
            place = claimed if isinstance(claimed, int) and claimed > 0 else expected
            self._note(place, "it was changed, or inserted, without the key")
            return
        sequence, mac = row[_SEQUENCE], row[_MAC]
        assert isinstance(sequence, int) and isinstance(mac, bytes)  # an authentic row has the types of a record
        if sequence > expected:
            self._note(expected, "it is missing")
        elif row[_PREVIOUS] != self._last.mac:
            self._note(sequence, "it does not follow the record before it")
        if self._head and sequence == self._head.sequence and mac != self._head.mac:
            self._note(sequence, "it is not the record that the chain's head names")
        self._last = Head(sequence, mac)

    def end(self) -> None:
        """Check that the chain reaches as far as its head says."""
        if self._head and self._head.sequence > self._last.sequence:
            missing = f"it is missing, and the chain's head names record {self._head.sequence}: the tail was cut"
            self._note(self._last.sequence + 1, missing)
        if self._head is None and self.flaw is None:
            reason = "the chain's head is missing or was altered, so that a cut tail would not show"
            self.flaw = Flaw(self._chain, None, reason)

    def _note(self, sequence: int, reason: str) -> None:
        if self.flaw is None or self.flaw.sequence is None or sequence < self.flaw.sequence:
            self.flaw = Flaw(self._chain, sequence, reason)


def _head(folder: Path, chain: str, keys: ChainKeys) -> Head | None:
    try:
        return read_head(folder, chain, keys.head)
    except FileNotFoundError:
        return None


def _stored(database: sa.Engine | Path) -> Iterator[Sequence[object]]:
    """All rows as they are stored. The order is the table's own: an index could be made to tell another story."""
    with engine_for_reading(database, _WAIT_S) as engine, engine.connect() as connection:
        rows = connection.execution_options(yield_per=_BATCH).execute(STORED.order_by(audit_records.c.id))
        for batch in rows.partitions():
            yield from batch
