"""The tables of an index in PostgreSQL: its state, the files of its segments, and vectors by generation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, LiteralString

import numpy as np
import psycopg
import sqlalchemy as sa
from numpy.typing import NDArray
from psycopg import sql

from core.errors import IndexDamaged, LimitExceeded, Transient
from retrieval.engines.vectors import VectorBatch
from retrieval.index.manifest import REBUILD
from retrieval.index.storage import FileRecord

FORMAT_VERSION = 1
NEVER = 2**63 - 1
"""The generation in which a chunk that is part of the index is dropped."""

# Files are kept in parts: a value of PostgreSQL may have 1 GB, and is held in memory as often as it is copied.
_PART_BYTES = 8 << 20

_DISK_FULL, _UNDEFINED_TABLE, _UNDEFINED_SCHEMA = "53100", "42P01", "3F000"

# The header of PostgreSQL's binary copy format: signature, flags, length of the extension.
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER = b"\xff\xff"


@dataclass(frozen=True)
class State:
    """One generation of the index: `vectors` names the table of its vectors, `graph` says whether that has an HNSW."""

    generation: int
    fingerprint: str
    dimension: int
    vectors: str
    graph: bool = False
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    retired: tuple[tuple[str, int], ...] = ()  # tables that generations before this one still use
    format: int = FORMAT_VERSION


class NoIndex(IndexDamaged):
    """There are no tables of this name, or no longer."""


class Tables:
    """The index of the schema `name`; whoever has several indexes in a database gives each a schema."""

    def __init__(self, engine: sa.Engine, name: str) -> None:
        self.name = name
        self._engine = engine

    @contextmanager
    def transaction(self, isolation: LiteralString = "REPEATABLE READ") -> Iterator[psycopg.Connection[Any]]:
        """One transaction, which sees the database as it is when it first looks; errors of PostgreSQL become ours.

        Who waits for another writer needs `READ COMMITTED`, to see what that one wrote.
        """
        with _our_errors(self.name), self._engine.begin() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            driver.execute(sql.SQL("SET TRANSACTION ISOLATION LEVEL {}").format(sql.SQL(isolation)))
            yield driver

    def create(self) -> None:
        """Make schema, extension and tables, unless there are some."""
        with self.transaction("READ COMMITTED") as driver:
            driver.execute("SELECT pg_advisory_xact_lock(hashtext('footnote index'))")
            if driver.execute("SELECT to_regclass(%s)", [f'"{self.name}".state']).fetchone() != (None,):
                return
            driver.execute("CREATE EXTENSION IF NOT EXISTS vector")
            driver.execute(self.sql("CREATE SCHEMA IF NOT EXISTS {schema}"))
            driver.execute(
                self.sql(
                    "CREATE TABLE IF NOT EXISTS {schema}.state (one bool PRIMARY KEY DEFAULT true CHECK (one), "
                    "generation bigint NOT NULL, content jsonb NOT NULL)"
                )
            )
            driver.execute(
                self.sql(
                    "CREATE TABLE IF NOT EXISTS {schema}.file "
                    "(sha256 text, part int, content bytea NOT NULL, PRIMARY KEY (sha256, part))"
                )
            )
            driver.execute(self.sql("ALTER TABLE {schema}.file ALTER content SET STORAGE EXTERNAL"))
            empty = json.dumps(asdict(State(0, "", 0, "")))
            driver.execute(
                self.sql("INSERT INTO {schema}.state (generation, content) VALUES (0, %s) ON CONFLICT DO NOTHING"),
                [empty],
            )

    def remove(self) -> None:
        """Drop all tables of the index."""
        with self.transaction("READ COMMITTED") as driver:
            driver.execute(self.sql("DROP SCHEMA IF EXISTS {schema} CASCADE"))

    def sql(self, statement: str, **names: str) -> sql.Composed:
        """A statement with the schema and other names put in, quoted."""
        quoted = {key: sql.Identifier(self.name, name) for key, name in names.items()}
        return sql.SQL(statement).format(schema=sql.Identifier(self.name), **quoted)

    def generation(self, connection: psycopg.Connection[Any]) -> int:
        """The present one; 0 where nothing was ever published."""
        row = connection.execute(self.sql("SELECT generation FROM {schema}.state")).fetchone()
        return int(row[0]) if row else 0

    def state(self, connection: psycopg.Connection[Any], *, locked: bool = False) -> State:
        """The present state; `locked` waits for whoever holds it, and holds it until the transaction ends.

        Raises `IndexDamaged` for one of another version.
        """
        query = self.sql(
            "SELECT content FROM {schema}.state FOR UPDATE" if locked else "SELECT content FROM {schema}.state"
        )
        row = connection.execute(query).fetchone()
        content = row[0] if row else asdict(State(0, "", 0, ""))
        if content["format"] != FORMAT_VERSION:
            raise IndexDamaged(
                f"The index {self.name} in PostgreSQL has format {content['format']}, this version reads "
                f"{FORMAT_VERSION}: {REBUILD}."
            )
        files = {name: FileRecord(**record) for name, record in content.pop("files").items()}
        retired = tuple((str(table), int(generation)) for table, generation in content.pop("retired"))
        return State(**content, files=files, retired=retired)

    def set_state(self, connection: psycopg.Connection[Any], state: State) -> None:
        connection.execute(
            self.sql("UPDATE {schema}.state SET generation = %s, content = %s"),
            [state.generation, json.dumps(asdict(state))],
        )

    def read_file(self, connection: psycopg.Connection[Any], record: FileRecord) -> Iterator[bytes]:
        """The parts of a file, in order."""
        query = self.sql("SELECT content FROM {schema}.file WHERE sha256 = %s AND part = %s")
        for part in range(-(-record.size // _PART_BYTES)):
            row = connection.cursor(binary=True).execute(query, [record.sha256, part]).fetchone()
            if row is None:
                raise IndexDamaged(f"The index is damaged: a file of {self.name} in PostgreSQL is missing; {REBUILD}.")
            yield row[0]

    def write_file(self, connection: psycopg.Connection[Any], record: FileRecord, content: Iterable[bytes]) -> None:
        connection.execute(self.sql("DELETE FROM {schema}.file WHERE sha256 = %s"), [record.sha256])
        query = self.sql("INSERT INTO {schema}.file VALUES (%s, %s, %b)")
        for part, some in enumerate(content):
            connection.execute(query, [record.sha256, part, some])

    def keep_files(self, connection: psycopg.Connection[Any], records: Iterable[FileRecord]) -> None:
        """Remove every file but these."""
        connection.execute(
            self.sql("DELETE FROM {schema}.file WHERE NOT sha256 = ANY(%s)"), [[record.sha256 for record in records]]
        )

    def create_vectors(self, connection: psycopg.Connection[Any], table: str, dimension: int) -> None:
        """A table of vectors: a chunk is part of the generations from `born` up to the one before `died`."""
        connection.execute(
            self.sql(
                "CREATE TABLE {table} (row bigint, born bigint, died bigint NOT NULL DEFAULT "
                f"{NEVER}, locality bigint NOT NULL, digest bigint NOT NULL, vector vector({dimension}) NOT NULL, "
                "PRIMARY KEY (row, born))",
                table=table,
            )
        )
        # What is too long for half a page would be looked up elsewhere, once for every comparison.
        connection.execute(self.sql("ALTER TABLE {table} ALTER vector SET STORAGE PLAIN", table=table))
        connection.execute(self.sql("CREATE INDEX ON {table} (locality)", table=table))

    def copy_vectors(self, copy: psycopg.Copy, batch: VectorBatch, born: int) -> None:
        copy.write(_copied(batch, born))

    @contextmanager
    def copying(self, connection: psycopg.Connection[Any], table: str) -> Iterator[psycopg.Copy]:
        """A stream of vectors into a table."""
        statement = self.sql(
            "COPY {table} (row, born, locality, digest, vector) FROM STDIN (FORMAT BINARY)", table=table
        )
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(_COPY_HEADER)
            yield copy
            copy.write(_COPY_TRAILER)


def decoded(vectors: Iterable[bytes], dimension: int) -> NDArray[np.float32]:
    """(n, dimension): vectors as pgvector sends them in binary: two numbers of 16 bits, then floats, big-endian."""
    joined = np.frombuffer(b"".join(vectors), np.dtype([("head", ">i2", 2), ("values", ">f4", dimension)]))
    return joined["values"].astype(np.float32)


def encoded(vector: NDArray[np.float32]) -> str:
    """A vector as pgvector reads it; nine digits name a float exactly."""
    return "[" + ",".join(f"{value:.9g}" for value in vector.tolist()) + "]"


def parts_of(content: Any) -> Iterator[bytes]:
    """An open file in the parts in which it is stored."""
    while part := content.read(_PART_BYTES):
        yield part


def _copied(batch: VectorBatch, born: int) -> bytes:
    """Rows in PostgreSQL's binary copy format: the number of fields, then each one's length and bytes, big-endian."""
    dimension = batch.vectors.shape[1]
    numbers = ("row", "born", "locality", "digest")
    layout = [("fields", ">i2")]
    layout += [part for name in numbers for part in ((f"{name}_bytes", ">i4"), (name, ">i8"))]
    packed = np.zeros(
        len(batch.rows),
        np.dtype(
            [*layout, ("vector_bytes", ">i4"), ("dimension", ">i2"), ("unused", ">i2"), ("vector", ">f4", dimension)]
        ),
    )
    packed["fields"] = len(numbers) + 1
    for name in numbers:
        packed[f"{name}_bytes"] = 8
    packed["row"], packed["born"] = batch.rows, born
    packed["locality"], packed["digest"] = batch.localities, batch.digests
    packed["vector_bytes"], packed["dimension"], packed["vector"] = 4 + 4 * dimension, dimension, batch.vectors
    return packed.tobytes()


@contextmanager
def _our_errors(name: str) -> Iterator[None]:
    """PostgreSQL's errors as ours: who acts next decides which."""
    try:
        yield
    except (psycopg.Error, sa.exc.DBAPIError) as error:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        state = getattr(cause, "sqlstate", None)
        if state in (_UNDEFINED_TABLE, _UNDEFINED_SCHEMA):
            raise NoIndex(f"The index {name} is not in PostgreSQL: {REBUILD}.") from error
        if state == _DISK_FULL:
            raise LimitExceeded(
                f"PostgreSQL's disk is full. The index {name} stays as it was; free space and run this again."
            ) from error
        if isinstance(cause, psycopg.OperationalError):
            raise Transient(f"PostgreSQL does not answer for the index {name} ({cause}); try again.") from error
        raise
