"""Publishing into PostgreSQL: vectors, segments and the generation that shows them, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from pyroaring import BitMap

from core.errors import Conflict
from retrieval.engines.mirror import Mirror
from retrieval.engines.pgvector import EXACT_UP_TO
from retrieval.engines.pgvector_tables import NEVER, State, Tables, parts_of
from retrieval.engines.vectors import vector_batches
from retrieval.index.manifest import REBUILD
from retrieval.index.segment import IndexRow
from retrieval.index.storage import Storage
from retrieval.index.writer import IndexWriter

# For so many generations dropped vectors stay, for questions that are being answered.
_GENERATIONS_KEPT = 3

# What building a graph may hold in memory; a graph that does not fit is built several times slower.
_GRAPH_MEMORY = "1GB"


class PgvectorWriter:
    """Writes an index in PostgreSQL. Segments are built in `folder`, a mirror of this writer's own, so that nothing of
    a publish is anywhere else before it is committed."""

    def __init__(
        self, tables: Tables, folder: Path, fingerprint: str, dimension: int, storage: Storage | None = None
    ) -> None:
        self._tables = tables
        self._mirror = Mirror(folder, storage)
        self._words = IndexWriter(folder, fingerprint, 1, storage)
        self._fingerprint = fingerprint
        self._dimension = dimension

    def publish(self, added: Iterable[IndexRow], dropped: Iterable[int] = ()) -> int:
        """One transaction: it holds the state's row, so that other writers wait."""
        with self._changing() as (connection, state):
            self._check(state)
            table = state.vectors or f"vectors_{state.generation + 1}"
            if not state.vectors:
                self._tables.create_vectors(connection, table, self._dimension)
            gone = BitMap(dropped)
            with self._tables.copying(connection, table) as copy:
                replaced = BitMap()
                self._words.publish(self._passing(added, copy, state.generation + 1, replaced), gone)
            self._bury(connection, table, gone | replaced, state.generation + 1)
            return self._finish(connection, replace(state, vectors=table))

    def rebuild(self, rows: Iterable[IndexRow]) -> int:
        """A new table beside the old one, which goes when no recent generation uses it."""
        with self._changing(repairing=True) as (connection, state):
            table = f"vectors_{state.generation + 1}"
            self._tables.create_vectors(connection, table, self._dimension)
            with self._tables.copying(connection, table) as copy:
                self._words.rebuild(self._passing(rows, copy, state.generation + 1, BitMap()))
            retired = [*state.retired, *([(state.vectors, state.generation + 1)] if state.vectors else [])]
            return self._finish(
                connection, replace(state, vectors=table, graph=False, files={}, retired=tuple(retired))
            )

    def merge(self, if_more_than: int = 0) -> bool:
        """Nothing: its publishes merge their segments, which hold no vectors."""
        return False

    def compact(self) -> None:
        """Delete what was dropped from the tables, and rewrite segments without it.

        PostgreSQL overwrites what deleted rows leave on its pages in its own time; `VACUUM FULL` does at once, and
        stops searching meanwhile.
        """
        with self._changing() as (connection, state):
            if state.generation == 0:
                return
            self._words.compact()
            connection.execute(self._tables.sql("DELETE FROM {table} WHERE died < %s", table=state.vectors), [NEVER])
            self._drop_tables(connection, [table for table, _ in state.retired])
            self._finish(connection, replace(state, retired=()))

    @contextmanager
    def _changing(self, *, repairing: bool = False) -> Iterator[tuple[psycopg.Connection[Any], State]]:
        """The state, held; and the folder as the state says, whatever a writer that was killed left in it."""
        self._tables.create()
        with self._mirror.exclusive(), self._tables.transaction("READ COMMITTED") as connection:
            state = self._tables.state(connection, locked=True)
            if repairing:
                self._mirror.forget()
            else:
                self._mirror.pull(state.files, lambda record: self._tables.read_file(connection, record))
            yield connection, state

    def _passing(self, rows: Iterable[IndexRow], copy: psycopg.Copy, born: int, passed: BitMap) -> Iterator[IndexRow]:
        """The rows on their way into segments; their vectors leave for the database."""
        for batch, words in vector_batches(rows, self._fingerprint, self._dimension):
            twice = passed & BitMap(batch.rows)
            if twice or len(BitMap(batch.rows)) < len(batch.rows):
                raise Conflict("A chunk was given twice in one publish; give each row once.")
            passed |= BitMap(batch.rows)
            self._tables.copy_vectors(copy, batch, born)
            yield from words

    def _bury(self, connection: psycopg.Connection[Any], table: str, gone: BitMap, generation: int) -> None:
        """From this generation on, the former vectors of these rows are not part of the index."""
        statement = "UPDATE {table} SET died = %s WHERE row = ANY(%s) AND born < %s AND died = %s"
        connection.execute(self._tables.sql(statement, table=table), [generation, list(gone), generation, NEVER])

    def _finish(self, connection: psycopg.Connection[Any], state: State) -> int:
        """Store what is new of the folder, remove what no recent generation uses, and make this the present one."""
        generation = state.generation + 1
        oldest = generation - _GENERATIONS_KEPT
        connection.execute(self._tables.sql("DELETE FROM {table} WHERE died <= %s", table=state.vectors), [oldest])
        self._drop_tables(connection, [table for table, since in state.retired if since <= oldest])
        files = self._mirror.files()
        known = {record.sha256 for record in state.files.values()}
        for name, record in {record.sha256: (name, record) for name, record in files.items()}.values():
            if record.sha256 not in known:
                with (self._mirror.folder / name).open("rb") as content:
                    self._tables.write_file(connection, record, parts_of(content))
        self._tables.keep_files(connection, files.values())
        state = replace(
            state,
            generation=generation,
            fingerprint=self._fingerprint,
            dimension=self._dimension,
            graph=state.graph or self._grown(connection, state.vectors),
            files=files,
            retired=tuple(item for item in state.retired if item[1] > oldest),
        )
        self._tables.set_state(connection, state)
        return generation

    def _grown(self, connection: psycopg.Connection[Any], table: str) -> bool:
        """Give the vectors a graph once there are too many to compare all; say whether they have one now."""
        row = connection.execute(self._tables.sql("SELECT count(*) FROM {table}", table=table)).fetchone()
        if row is None or row[0] <= EXACT_UP_TO:
            return False
        connection.execute(f"SET LOCAL maintenance_work_mem = '{_GRAPH_MEMORY}'")
        connection.execute(self._tables.sql("CREATE INDEX ON {table} USING hnsw (vector vector_ip_ops)", table=table))
        return True

    def _drop_tables(self, connection: psycopg.Connection[Any], names: list[str]) -> None:
        for name in names:
            connection.execute(self._tables.sql("DROP TABLE IF EXISTS {table}", table=name))

    def _check(self, state: State) -> None:
        if state.generation and (state.fingerprint, state.dimension) != (self._fingerprint, self._dimension):
            raise Conflict(
                f"The index {self._tables.name} in PostgreSQL holds vectors of the model {state.fingerprint}, "
                f"these are of {self._fingerprint}: {REBUILD}."
            )
