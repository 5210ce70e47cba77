"""A database that is only read: opened so that nothing can be written, asked in pages, its errors told as ours."""

from __future__ import annotations

import math
import re
import sqlite3
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    RowMapping,
    Select,
    Subquery,
    column,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from core.errors import SourceRefused, Transient

CONNECT_S = 10
STEPS_BETWEEN_LOOKS = 100_000
"""How many of its instructions SQLite runs before it looks at the clock: some milliseconds' worth."""

# SQLSTATE (PostgreSQL's appendix A; the SQL standard's classes): what time heals.
_PASSING = ("08", "40", "53", "55", "57", "58")
_UNWELCOME = ("28", "3D000", "42501")
_WOULD_WRITE = ("25006", "25001")
# A server that turns a connection away says so in words alone.
_TURNED_AWAY = re.compile(
    r"password authentication failed|no password supplied|authentication failed|no pg_hba\.conf entry"
    r"|role \S+ (?:does not exist|is not permitted)|database \S+ does not exist|Access denied|Login failed",
    re.I,
)
_SQLITE_PASSING = (
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_IOERR",
    "SQLITE_CANTOPEN",
    "SQLITE_FULL",
    "SQLITE_NOMEM",
    "SQLITE_INTERRUPT",
)
_SECRET_NAME = re.compile(r"pass|pwd|secret|token|key$", re.I)


def read_url(written: str) -> URL:
    """The address of a database; raises `ValueError` for none, and for one with a password in it."""
    try:
        url = make_url(written)
    except ArgumentError:
        raise ValueError("write an address such as postgresql+psycopg://reader@host/name or sqlite:////file") from None
    if url.password is not None or any(_SECRET_NAME.search(name) for name in url.query):
        raise ValueError("no password in the address: give it apart, as the source's secret")
    if url.get_backend_name() == "sqlite" and (not url.database or ":memory:" in url.database or url.query):
        raise ValueError("name a file for SQLite, as in sqlite:////file, and nothing else")
    return url


class Database:
    """One database. Each question is a transaction of its own, read-only where the database knows such a thing.

    A query of the operator's stands within a SELECT of ours, so that nothing but a single SELECT is one. That, the
    read-only transaction and a file opened to be read are each enough to keep it from writing.
    """

    def __init__(self, url: URL, secret: SecretStr | None, timeout_s: float) -> None:
        self._name = URL.create(url.drivername, host=url.host, port=url.port, database=url.database).render_as_string()
        try:
            self._engine = _open(url, secret, timeout_s)
        except (NoSuchModuleError, ImportError) as error:
            raise SourceRefused(
                f"There is no driver for {url.drivername} here; install one, and name it in the address as in "
                "postgresql+psycopg://."
            ) from error

    def __repr__(self) -> str:
        return f"Database({self._name!r})"

    @property
    def name(self) -> str:
        """Where it is, without who asks."""
        return self._name

    @property
    def dialect(self) -> str:
        return self._engine.dialect.name

    def close(self) -> None:
        self._engine.dispose()

    def table(self, query: str) -> Subquery:
        """A query of the operator's as a table that can be selected from, with the columns it gives."""
        # A comment may end it; colons are its own, not parameters of ours.
        written = "\n" + query.strip().rstrip(";").rstrip().replace(":", "\\:") + "\n"
        probe = text(f"SELECT * FROM ({written}) q WHERE 1 = 0")  # noqa: S608
        with self._asked(), self._engine.connect() as connection:
            names = list(connection.execute(probe).keys())
        if len(set(names)) != len(names):
            raise SourceRefused("The query gives two columns the same name; give each a name of its own.")
        return text(written).columns(*(column(name) for name in names)).subquery("q")

    def rows(self, question: Select[*tuple[Any, ...]]) -> Sequence[RowMapping]:
        """All that a question gives, which has to be little."""
        with self._asked(), self._engine.connect() as connection:
            return list(connection.execute(question).mappings())

    def stream(self, question: Select[*tuple[Any, ...]], at_once: int) -> Generator[RowMapping]:
        """What a question gives, with `at_once` rows in memory."""
        with self._asked(), self._engine.connect() as connection:
            result = connection.execution_options(yield_per=at_once).execute(question)
            try:
                yield from result.mappings()
            finally:
                # Also where whoever reads stops early.
                result.close()

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise _ours(self._name, error) from None
        except sqlite3.Warning as error:
            # What the module has for more than one statement, up to Python 3.11.
            raise SourceRefused(f"The query on {self._name} is more than one SELECT; give a single one.") from error
        except SQLAlchemyError as error:
            raise SourceRefused(f"The query on {self._name} cannot be asked ({type(error).__name__}).") from error


def _open(url: URL, secret: SecretStr | None, timeout_s: float) -> Engine:
    password = secret.get_secret_value() if secret is not None else None
    common: dict[str, Any] = {"hide_parameters": True, "pool_pre_ping": True}
    if url.get_backend_name() == "sqlite":
        assert url.database is not None
        path = quote(str(Path(url.database).expanduser().absolute()))
        engine = create_engine(url.set(database=f"file:{path}", query={"mode": "ro", "uri": "true"}), **common)
        event.listen(engine, "connect", _only_read_sqlite)
        event.listen(engine, "before_cursor_execute", partial(_begin_to_count, timeout_s))
        return engine
    connect_args = {"connect_timeout": CONNECT_S} if url.get_backend_name() == "postgresql" else {}
    engine = create_engine(url.set(password=password), pool_size=1, max_overflow=1, connect_args=connect_args, **common)
    settings = _SETTINGS.get(url.get_backend_name())
    if settings is not None:
        event.listen(engine, "connect", lambda connection, _record: _set(connection, settings, timeout_s))
    return engine


_SETTINGS = {
    "postgresql": ("SET default_transaction_read_only = on", "SET statement_timeout = {milliseconds}"),
    "mysql": ("SET SESSION TRANSACTION READ ONLY",),
    "mariadb": ("SET SESSION TRANSACTION READ ONLY",),
}
"""What makes a session one that only reads, where a database has it."""


def _set(connection: Any, settings: Sequence[str], timeout_s: float) -> None:
    cursor = connection.cursor()
    for statement in settings:
        cursor.execute(statement.format(milliseconds=int(timeout_s * 1000)))
    cursor.close()
    connection.commit()


def _begin_to_count(timeout_s: float, connection: Connection, *_: object) -> None:
    connection.info["until"] = time.monotonic() + timeout_s


def _only_read_sqlite(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    about = record.info
    connection.set_progress_handler(lambda: time.monotonic() > about.get("until", math.inf), STEPS_BETWEEN_LOOKS)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    for statement in ("PRAGMA query_only = ON", "PRAGMA trusted_schema = OFF"):
        connection.execute(statement).close()


def _ours(name: str, error: DBAPIError) -> SourceRefused | Transient:
    """What a database's error means to us. Its words are shown where they are about the query, never about a row."""
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return _ours_of_sqlite(name, cause)
    state = str(getattr(cause, "sqlstate", None) or "")
    if state.startswith(_UNWELCOME) or (not state and _TURNED_AWAY.search(str(cause))):
        return SourceRefused(
            f"The database {name} refused us{f' ({state})' if state else ''}. Renew the password, or give its user the "
            "right to connect and to SELECT from what the query names."
        )
    if state.startswith(_WOULD_WRITE):
        return SourceRefused(f"The query on {name} would write; give one that only reads.")
    if state.startswith("42"):
        words = getattr(getattr(cause, "diag", None), "message_primary", None) or type(cause).__name__
        return SourceRefused(f"The database {name} cannot run the query: {words}. Correct it.")
    if error.connection_invalidated or not state or state.startswith(_PASSING):
        return Transient(f"The database {name} is busy or down ({type(cause).__name__}{f' {state}' if state else ''}).")
    return SourceRefused(f"The query on {name} fails on a row ({type(cause).__name__} {state}). Correct it.")


def _ours_of_sqlite(name: str, cause: sqlite3.Error) -> SourceRefused | Transient:
    kind = getattr(cause, "sqlite_errorname", "")
    if kind.startswith(_SQLITE_PASSING):
        return Transient(f"The database {name} cannot be read now ({kind}).")
    if kind.startswith(("SQLITE_READONLY", "SQLITE_AUTH")):
        return SourceRefused(f"The query on {name} would write; give one that only reads.")
    return SourceRefused(f"The database {name} cannot run the query: {cause}. Correct it.")
