"""Compaction: what was deleted from the database leaves its files."""

from __future__ import annotations

from sqlalchemy import Connection, Engine

from catalog.database import BUSY_WAIT_SECONDS, our_errors
from catalog.models import Base
from core.errors import Transient


def compact(engine: Engine, *, in_full: bool) -> None:
    """Write the database anew without what was deleted from it; nobody else writes meanwhile.

    On SQLite that is always the whole file, and what the write-ahead log has kept; people go on reading. PostgreSQL
    writes its tables anew only `in_full`, in which time nobody reads them either; else it makes the room of deleted
    rows free to be overwritten. Raises `Transient` where somebody who reads or writes holds it up, and `LimitExceeded`
    where there is no room for a second copy.
    """
    if engine.dialect.name == "sqlite":
        with our_errors(), engine.connect().execution_options(footnote_no_transaction=True) as connection:
            _compact_sqlite(connection)
    else:
        with our_errors(), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            _compact_postgresql(connection, in_full)


def _compact_sqlite(connection: Connection) -> None:
    # First too: a reader who would keep what was deleted in the log is noticed before the long part.
    _empty_log(connection)
    connection.exec_driver_sql("VACUUM")
    _empty_log(connection)


def _empty_log(connection: Connection) -> None:
    busy, _, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
    if busy:
        raise Transient("Somebody reads the catalog all the time, so its log cannot be emptied. Run it again later.")


def _compact_postgresql(connection: Connection, in_full: bool) -> None:
    # Whoever comes later waits behind one that waits for a table: it gives up soon instead.
    connection.exec_driver_sql(f"SET lock_timeout = '{BUSY_WAIT_SECONDS}s'")
    try:
        for table in Base.metadata.sorted_tables:
            connection.exec_driver_sql(f"VACUUM {'(FULL)' if in_full else ''} {table.name}")
    finally:
        connection.exec_driver_sql("RESET lock_timeout")
