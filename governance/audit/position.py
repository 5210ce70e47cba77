"""Where a chain stands, so that a process can go on writing it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from governance.audit.chain import FIRST_HEAD, ChainSlot, Head, chains_with_heads, free_slot, read_head
from governance.audit.envelope import Record, is_authentic
from governance.audit.keys import ChainKeys, KeyStore
from governance.audit.table import STORED, audit_records

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Position:
    """The newest record of a chain: its head and its number (0 before the first)."""

    head: Head
    id: int

    @classmethod
    def of(cls, record: Record) -> Position:
        return cls(Head(record.sequence, record.mac), record.id)


@dataclass(frozen=True)
class WritableChain:
    """A chain this process holds, with the keys it is written with and where it stands."""

    slot: ChainSlot
    keys: ChainKeys
    position: Position


class _Damaged(Exception):
    """The records and the head of a chain contradict each other."""


def open_chain(connection: sa.Connection, store: KeyStore, folder: Path) -> WritableChain:
    """Take the first free chain that is whole, and find where it stands; make keys where nothing was written yet.

    A damaged chain is left as it is, so that its evidence stays, and the next one is taken. Raises `Conflict`
    when the root key is missing although there are records.
    """
    if not chains_with_heads(folder) and connection.execute(sa.select(audit_records.c.id).limit(1)).first() is None:
        store.create()
    keys = store.chain_keys()
    slot = free_slot(folder, keys.head)
    while True:
        try:
            return WritableChain(slot, keys, _resume(connection, slot, keys))
        except _Damaged as damage:
            slot.release()
            _LOG.error("Audit chain %s is damaged: %s. Run `footnote audit verify`.", slot.chain, damage)
            slot = free_slot(folder, keys.head, start=slot.number + 1)
        except BaseException:
            slot.release()
            raise


def _resume(connection: sa.Connection, slot: ChainSlot, keys: ChainKeys) -> Position:
    """Where the chain stands; a crash may have left its head behind what was committed, never ahead."""
    try:
        head = read_head(slot.folder, slot.chain, slot.key)
    except FileNotFoundError:
        head = FIRST_HEAD
        _refuse_if_written(connection, slot)
        slot.begin()
    if head is None:
        raise _Damaged("its head was altered")
    last = Position(head, 0)
    for record in _records_from(connection, slot.chain, head.sequence, keys):
        if record.sequence == head.sequence:
            follows = record.mac == head.mac
        else:
            follows = (record.sequence, record.previous) == (last.head.sequence + 1, last.head.mac)
        if not follows:
            raise _Damaged(f"record {record.sequence} does not follow the one before it")
        last = Position.of(record)
    if head.sequence and not last.id:
        raise _Damaged(f"its head names record {head.sequence}, which is missing")
    return last


def _refuse_if_written(connection: sa.Connection, slot: ChainSlot) -> None:
    if connection.execute(STORED.where(audit_records.c.chain == slot.chain).limit(1)).first():
        raise _Damaged("its head is missing")


def _records_from(connection: sa.Connection, chain: str, sequence: int, keys: ChainKeys) -> list[Record]:
    newest = STORED.where(audit_records.c.chain == chain, audit_records.c.sequence >= sequence)
    records = []
    for row in connection.execute(newest.order_by(audit_records.c.sequence)):
        if not is_authentic(row, keys.record):
            raise _Damaged("a record among its newest was altered")
        records.append(Record(*row))  # type: ignore[arg-type]  # an authentic row has the types of a record
    return records
