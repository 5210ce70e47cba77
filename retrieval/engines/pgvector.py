"""An index in PostgreSQL: vectors by pgvector, segments as files in a table and mirrored beside each reader."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from pyroaring import BitMap

from core.errors import IndexDamaged
from retrieval.engines.mirror import Mirror
from retrieval.engines.pgvector_tables import NoIndex, State, Tables, decoded, encoded
from retrieval.engines.refilling import Found, RefillingVectors, lost_vector
from retrieval.engines.vectors import vector_digests
from retrieval.index.reader import IndexReader, Snapshot

# Up to this many chunks are all compared: exact, and with an index by locality hardly slower than walking the graph.
EXACT_UP_TO = 20_000

# How many more candidates the graph's walk keeps than are asked for, pgvector's own limit, and how many chunks a walk
# may visit before it gives up.
_WALK, _WIDEST_WALK, _VISITS = 2, 1_000, 200_000

# The most rows a question may get; beyond it, reading what is readable costs less.
_DEEPEST = 20_000

_VERIFIED_AT_ONCE = 2_000

_NOTHING = Snapshot(0, "", 0, ())


class PgvectorReader:
    """Follows an index in PostgreSQL; the words of its segments are mirrored in `folder`, shared by this machine's
    processes. Safe to share between threads."""

    def __init__(self, tables: Tables, folder: Path) -> None:
        self._tables = tables
        self._mirror = Mirror(folder)
        self._segments = IndexReader(folder)
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None

    def snapshot(self) -> Snapshot:
        """The present generation; costs one short query when nothing has changed."""
        try:
            with self._tables.transaction() as connection:
                generation = self._tables.generation(connection)
        except NoIndex:
            generation = 0
        known = self._snapshot
        if known is not None and known.generation == generation:
            if isinstance(known.elsewhere, RefillingVectors) and known.elsewhere.damage is not None:
                raise known.elsewhere.damage
            return known
        with self._lock:
            self._snapshot = self._opened() if generation else _NOTHING
            return self._snapshot

    def sound(self) -> Snapshot:
        """The present generation, or nothing where it is damaged."""
        try:
            return self.snapshot()
        except IndexDamaged:
            return _NOTHING

    def check_remembered(self) -> None:
        """Read what is mirrored here; what is damaged is fetched again by the next `snapshot`."""
        self._segments.check_remembered()
        try:
            self._segments.snapshot()
        except IndexDamaged:
            self._snapshot = None

    def verify(self) -> None:
        """Read every file and every vector; raises `IndexDamaged` naming the first that is not what was written."""
        if self.snapshot().generation == 0:
            return
        with self._tables.transaction() as connection:
            state = self._tables.state(connection)
            with self._mirror.exclusive():
                self._mirror.forget()  # so that what the database holds is read, and what is here is made good
                self._pull(connection, state)
                self._segments.verify()
                rows = self._segments.snapshot().rows()
            _verify_vectors(self._tables, connection, state, rows)

    def _opened(self) -> Snapshot:
        with self._mirror.exclusive(), self._tables.transaction() as connection:
            state = self._tables.state(connection)
            if state.generation == 0:
                return Snapshot(0, "", 0, ())
            self._pull(connection, state)
            try:
                words = self._segments.snapshot()
            except IndexDamaged:  # what is here; the database may have it right
                self._mirror.forget()
                self._pull(connection, state)
                words = self._segments.snapshot()
        vectors = RefillingVectors(PgvectorStore(self._tables, state), state.dimension)
        return Snapshot(state.generation, state.fingerprint, state.dimension, words.segments, vectors)

    def _pull(self, connection: psycopg.Connection[Any], state: State) -> None:
        self._mirror.pull(state.files, lambda record: self._tables.read_file(connection, record))


@dataclass(frozen=True)
class PgvectorStore:
    """The vectors of one generation."""

    tables: Tables
    state: State
    deepest: int = _DEEPEST

    def closest(
        self, query: NDArray[np.float32], localities: NDArray[np.int64] | None, limit: int, among: int
    ) -> Found:
        """Exact where there is no graph or few chunks are concerned; else by pgvector's HNSW, scanned on until the
        limit is filled (iterative scans)."""
        walked = self.state.graph and among > EXACT_UP_TO
        order = "vector <#> %(query)s::vector"
        # Without the zero the planner might take the graph; ties go by row, as everywhere.
        order = order if walked else f"({order}) + 0, row"
        where = "born <= %(generation)s AND died > %(generation)s"
        where += "" if localities is None else " AND locality = ANY(%(localities)s)"
        asked = {
            "query": encoded(query),
            "generation": self.state.generation,
            "localities": None if localities is None else localities.tolist(),
            "limit": limit,
        }
        statement = f"SELECT row, vector FROM {{table}} WHERE {where} ORDER BY {order} LIMIT %(limit)s"  # noqa: S608
        with self.tables.transaction() as connection:
            if walked:
                _prepare_walk(connection, limit)
            cursor = connection.cursor(binary=True)
            answer = cursor.execute(self.tables.sql(statement, table=self.state.vectors), asked).fetchall()
        rows, vectors = self._read(answer)
        everything = not walked and len(rows) < limit
        unseen = float(vectors[-1] @ query) if len(rows) and not everything else -np.inf
        return Found(rows, vectors, unseen, everything)

    def fetch(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        statement = "SELECT row, vector FROM {table} WHERE row = ANY(%s) AND born <= %s AND died > %s"
        with self.tables.transaction() as connection:
            cursor = connection.cursor(binary=True)
            asked = [rows.tolist(), self.state.generation, self.state.generation]
            answer = cursor.execute(self.tables.sql(statement, table=self.state.vectors), asked).fetchall()
        return self._read(answer)

    def is_present(self) -> bool:
        with self.tables.transaction() as connection:
            return self.tables.generation(connection) == self.state.generation

    def _read(self, answer: list[tuple[Any, ...]]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        rows = np.array([row for row, _ in answer], np.int64)
        return rows, decoded((vector for _, vector in answer), self.state.dimension)


def _prepare_walk(connection: psycopg.Connection[Any], limit: int) -> None:
    """Walk the graph in this transaction, on and on until the limit is filled."""
    connection.execute("SET LOCAL enable_seqscan = off")
    connection.execute("SET LOCAL enable_bitmapscan = off")
    connection.execute("SET LOCAL enable_sort = off")
    connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
    connection.execute(f"SET LOCAL hnsw.max_scan_tuples = {_VISITS}")
    connection.execute("SET LOCAL hnsw.scan_mem_multiplier = 8")
    connection.execute(f"SET LOCAL hnsw.ef_search = {min(_WALK * limit, _WIDEST_WALK)}")


def _verify_vectors(tables: Tables, connection: psycopg.Connection[Any], state: State, expected: BitMap) -> None:
    """Every row of the segments has one vector, which is what was written; and no other row has one."""
    statement = "SELECT row, digest, vector FROM {table} WHERE born <= %s AND died > %s"
    found = BitMap()
    with connection.cursor(name="verify", binary=True) as cursor:
        cursor.execute(tables.sql(statement, table=state.vectors), [state.generation, state.generation])
        while answer := cursor.fetchmany(_VERIFIED_AT_ONCE):
            rows = np.array([row for row, _, _ in answer], np.int64)
            digests = np.array([digest for _, digest, _ in answer], np.int64)
            actual = vector_digests(rows, decoded((vector for _, _, vector in answer), state.dimension))
            if (wrong := np.flatnonzero(digests != actual)).size:
                raise lost_vector(int(rows[wrong[0]]), "not what was written")
            if twice := found & BitMap(rows):
                raise lost_vector(twice[0], "there twice")
            found |= BitMap(rows)
    if lost := expected - found:
        raise lost_vector(lost[0], "missing")
    if foreign := found - expected:
        raise lost_vector(foreign[0], "there, and its words are not")
