"""The table of audit records, on a SQLite file of its own or in PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry

from core.errors import Conflict
from governance.audit.envelope import COLUMNS

SCHEMA_VERSION = 1

metadata = sa.MetaData()
audit_records = sa.Table(
    "audit_records",
    metadata,
    # An INTEGER PRIMARY KEY is SQLite's rowid, so even a row's place in the file is under the MAC.
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("audit_id", sa.Text, nullable=False, index=True),
    sa.Column("chain", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("time", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("nonce", sa.LargeBinary, nullable=False),
    sa.Column("ciphertext", sa.LargeBinary, nullable=False),
    sa.Column("previous", sa.LargeBinary, nullable=False),
    sa.Column("mac", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("chain", "sequence"),
)

# Columns without a type come back exactly as they are stored, whatever somebody has put there.
_STORED_COLUMNS: list[sa.ColumnElement[Any]] = [sa.literal_column(name) for name in COLUMNS]
STORED: sa.Select[*tuple[Any, ...]] = sa.select(*_STORED_COLUMNS).select_from(audit_records)


def sqlite_engine(path: Path, wait_s: float, *, read_only: bool) -> sa.Engine:
    """An engine on an audit file: WAL, every commit on disk before it returns, at most `wait_s` for a lock.

    Without `read_only` the file is made if it is missing; with it nothing is ever made or changed.
    """
    engine = sa.create_engine(
        f"sqlite:///file:{_quoted(path)}?mode={'ro' if read_only else 'rw'}&uri=true",
        connect_args={"timeout": wait_s, "check_same_thread": False},
    )

    @sa.event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        # Bytes that are no UTF-8 must reach the verifier and not stop it.
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        if not read_only:
            connection.execute("PRAGMA synchronous = FULL")

    if not read_only:
        _create_file(path, engine)
    return engine


@contextmanager
def engine_for_reading(database: sa.Engine | Path, wait_s: float) -> Iterator[sa.Engine]:
    """The engine itself, or one on the file that is disposed of afterwards."""
    if isinstance(database, sa.Engine):
        yield database
        return
    engine = sqlite_engine(database, wait_s, read_only=True)
    try:
        yield engine
    finally:
        engine.dispose()


def is_empty(database: sa.Engine | Path, wait_s: float) -> bool:
    """Whether there is no record, perhaps not even a file for them."""
    if isinstance(database, Path) and not database.exists():
        return True
    with engine_for_reading(database, wait_s) as engine, engine.connect() as connection:
        return connection.execute(STORED.limit(1)).first() is None


def create_schema(engine: sa.Engine) -> None:
    """Make the table where it is missing."""
    metadata.create_all(engine)


def require_writable(engine: sa.Engine) -> None:
    """Raise SQLAlchemy's error unless PostgreSQL would take a record now; adds none.

    A server that only reads, such as a standby, refuses to add nothing too.
    """
    columns = list(audit_records.columns)
    with engine.connect() as connection:
        connection.execute(audit_records.insert().from_select(columns, sa.select(*columns).where(sa.false())))


def _create_file(path: Path, engine: sa.Engine) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with engine.connect() as connection:
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if version > SCHEMA_VERSION:
            raise Conflict(f"{path} was written by a newer version of Footnote: run that version.")
        if version < SCHEMA_VERSION:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.commit()


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
