"""Reading the audit log: what was done, decrypted while its subject's key exists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from core.errors import NotFound
from core.principals import Principal
from governance.audit.envelope import COLUMNS, Kind, Record, is_authentic, unseal
from governance.audit.keys import ChainKeys, KeyStore, pseudonym_of
from governance.audit.table import STORED, audit_records, engine_for_reading, is_empty

_WAIT_S = 5.0

State = Literal["readable", "erased", "altered"]
"""`erased`: the subject's key has been destroyed. `altered`: the record is not as it was written."""


@dataclass(frozen=True)
class Opened:
    """A record and, where `state` is `readable`, what it says: about whom (None: no person) and the content."""

    record: Record
    state: State
    subject: Principal | None = None
    content: Mapping[str, Any] | None = None


class AuditReader:
    """Reads records for an administrator; that they read is for the caller to record.

    Raises `Conflict` when there are records and the root key is missing.
    """

    def __init__(self, database: sa.Engine | Path, keys: KeyStore) -> None:
        self._database = database
        self._keys = keys

    def newest(
        self,
        *,
        kind: Kind | None = None,
        subject: Principal | None = None,
        since: datetime | None = None,
        limit: int = 100,
    ) -> list[Opened]:
        """At most `limit` records that fit, newest first; `since` is an aware time and included."""
        if is_empty(self._database, _WAIT_S):
            return []
        query = STORED.order_by(audit_records.c.id.desc()).limit(limit)
        if kind is not None:
            query = query.where(audit_records.c.kind == str(kind))
        if subject is not None:
            query = query.where(audit_records.c.subject == pseudonym_of(subject, self._keys.chain_keys()))
        if since is not None:
            moment = since.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
            query = query.where(audit_records.c.time >= f"{moment}Z")
        return self._opened(query)

    def show(self, audit_id: str, subject: str | None = None) -> list[Opened]:
        """All records of one request, or those about one subject, by pseudonym; in the order they were written.

        Raises `NotFound`. What is about others is not opened, so that it takes no time.
        """
        if is_empty(self._database, _WAIT_S):
            raise NotFound("audit record", audit_id)
        named = STORED.where(audit_records.c.audit_id == audit_id).order_by(audit_records.c.id)
        opened = self._opened(named if subject is None else named.where(audit_records.c.subject == subject))
        if not opened:
            raise NotFound("audit record", audit_id)
        return opened

    def _opened(self, query: sa.Select[*tuple[Any, ...]]) -> list[Opened]:
        keys = self._keys.chain_keys()
        with engine_for_reading(self._database, _WAIT_S) as engine, engine.connect() as connection:
            rows = connection.execute(query).all()
        return [_open(Record(*row), self._keys, keys) for row in rows]


def _open(record: Record, store: KeyStore, keys: ChainKeys) -> Opened:
    if not is_authentic([getattr(record, name) for name in COLUMNS], keys.record):
        return Opened(record, "altered")
    key = store.find(record.subject)
    plaintext = unseal(record, key) if key else None
    if plaintext is None:
        return Opened(record, "erased")
    told = json.loads(plaintext.decode("utf-8", "surrogatepass"))
    subject = Principal(*told["subject"]) if told["subject"] else None
    return Opened(record, "readable", subject, told["content"])
