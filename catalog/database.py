"""Connections to the catalog: short reading and writing transactions, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select, update
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from catalog.models import Epoch
from core.errors import Conflict, FootnoteError, LimitExceeded, Transient

BUSY_WAIT_SECONDS = 10
# No transaction of ours waits for anything: one that does nothing for so long is of a process that was stopped, and
# the rows it holds would keep everybody from changing who may read what.
IDLE_SECONDS = 60
# How soon a server that is not there, or has vanished, is noticed, by libpq's parameter key words; its own waits are
# minutes to hours.
_NOTICED: dict[str, int] = {
    "connect_timeout": BUSY_WAIT_SECONDS,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True)
class Catalog:
    """The record of truth. Every unit of work is one short transaction, open while nothing else is waited for.

    Both contexts raise what `our_errors` does.
    """

    engine: Engine

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that sees what is committed now."""
        with our_errors(), Session(self.engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that commits when the block ends and rolls back when it raises."""
        with our_errors(), Session(self.engine.execution_options(footnote_writes=True)) as session, session.begin():
            yield session


def bump_epoch(session: Session) -> int:
    """Take the next epoch in this transaction; whoever changes access, groups or documents stamps it.

    The row is locked until commit, so epochs become visible in their order.
    """
    session.execute(update(Epoch).where(Epoch.id == 1).values(value=Epoch.value + 1))
    return session.scalars(select(Epoch.value).where(Epoch.id == 1)).one()


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///FILE` or `postgresql+psycopg://…`; connects to nothing yet.

    What its errors say may reach a log, so the parameters of a statement, document text among them, stay out.
    """
    if not url.startswith("sqlite"):
        engine = create_engine(url, pool_pre_ping=True, pool_size=8, max_overflow=8, hide_parameters=True)
        event.listen(engine, "do_connect", _notice)
        event.listen(engine, "connect", _configure_postgresql)
        return engine
    engine = create_engine(url, connect_args={"timeout": BUSY_WAIT_SECONDS}, hide_parameters=True)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def _notice(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
    """What the address says itself stays."""
    for name, value in _NOTICED.items():
        parameters.setdefault(name, value)


def _configure_postgresql(connection: Any, _record: Any) -> None:
    connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
    connection.commit()


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # We begin transactions ourselves: the driver would begin a writing one too late, and deadlock on the upgrade.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "cache_size=-32768"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get("footnote_no_transaction"):
        return
    writes = connection.get_execution_options().get("footnote_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def our_errors() -> Iterator[None]:
    """Raise `Transient` where the database is busy or gone, `LimitExceeded` where its disk is full, and `Conflict`
    where its file is damaged."""
    try:
        yield
    except OperationalError as error:
        raise _translated(error) from error
    except PoolTimeout as error:
        raise Transient("Every connection to the catalog is in use. Try again.") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise _translated(error) from error
        if getattr(error.orig, "sqlite_errorcode", None) in _DAMAGED:
            raise Conflict(f"The catalog is damaged ({error.orig}). Restore it from a backup.") from error
        raise


def _translated(error: DBAPIError) -> FootnoteError:
    cause = str(error.orig)
    if "disk is full" in cause or "No space left" in cause or "disk I/O error" in cause:
        return LimitExceeded(
            f"The catalog could not be written ({cause}). Free disk space and run the command again; "
            "what was committed before is kept."
        )
    return Transient(f"The catalog cannot be reached or is busy ({cause.strip()}). Try again.")
