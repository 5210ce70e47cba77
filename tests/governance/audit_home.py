"""A home with an audit log in it, for the tests of the log."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from core.principals import Principal
from governance.audit import AuditLog, AuditReader, Entry, KeyStore, Kind, Record, Report, new_audit_id, verify

ANA = Principal("local", "ana")
BEN = Principal("https://id.example", "ben")


@dataclass(frozen=True)
class AuditHome:
    """Where a log's keys, chains and heads lie, and its database."""

    folder: Path
    database: sa.Engine | Path

    @property
    def keys(self) -> KeyStore:
        return KeyStore(self.folder / "keys")

    @property
    def heads(self) -> Path:
        return self.folder / "audit" / "heads"

    @property
    def reader(self) -> AuditReader:
        return AuditReader(self.database, self.keys)

    @property
    def file(self) -> Path:
        assert isinstance(self.database, Path)
        return self.database

    def log(self, limit_s: float = 10.0) -> AuditLog:
        return AuditLog(self.database, self.keys, self.folder / "audit", limit_s=limit_s)

    def verify(self) -> Report:
        return verify(self.database, self.keys, self.folder / "audit")

    def write(self, count: int, subject: Principal | None = ANA) -> list[Record]:
        """Append records in a log of their own, opened and closed."""
        with self.log() as log:
            return log.append_all(
                [Entry(Kind.SEARCH, subject, {"number": n}, new_audit_id()) for n in range(count)],
            )

    @contextmanager
    def raw(self) -> Iterator[sqlite3.Connection]:
        """The SQLite file as somebody with a shell has it: no keys, no rules, committed at the end."""
        connection = sqlite3.connect(self.file, isolation_level=None)
        connection.execute("PRAGMA synchronous = OFF")
        try:
            yield connection
        finally:
            connection.close()

    def copy(self, folder: Path) -> AuditHome:
        """The same home, elsewhere, to be tampered with."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder)
        return AuditHome(folder, folder / self.file.name)


def sqlite_home(folder: Path) -> AuditHome:
    return AuditHome(folder, folder / "audit.db")
