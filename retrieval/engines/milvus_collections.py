"""Vectors in Milvus: collections of chunks by generation, and the few questions asked of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import IndexDamaged, Transient, WrongUsage
from retrieval.engines.vectors import VectorBatch
from retrieval.index.manifest import REBUILD

if TYPE_CHECKING:
    from pymilvus import MilvusClient

NEVER = 2**62
"""The generation in which a chunk that is part of the index is dropped."""

# What Milvus answers at most to one question ("proxy.maxResultWindow").
DEEPEST = 16_384

# Rows asked for by number at once: an expression of Milvus is text.
_ROWS_AT_ONCE = 4_096

_READ_AT_ONCE = 1_000
_TIMEOUT_S = 30.0
# What writes may wait for segments to be written.
_WRITE_TIMEOUT_S = 600.0

# The client would ask a server every ten seconds whether it is still there. Milvus Lite takes that for an attack and
# hangs up; every call has a limit of its own.
_UNPROBED = {"grpc.keepalive_time_ms": 2**31 - 1, "grpc.keepalive_permit_without_calls": False}

_NUMBERS = ("row", "born", "died", "locality", "digest")

# Milvus's code for a collection that is not there.
_NO_COLLECTION = 100


@dataclass(frozen=True)
class Vectors:
    """`n` chunks as a collection has them."""

    rows: NDArray[np.int64]  # (n,)
    vectors: NDArray[np.float32]  # (n, dimension)
    digests: NDArray[np.int64]  # (n,)


def connected(url: str, token: str) -> MilvusClient:
    """A client of a server, or of a file of Milvus Lite, which this process then serves.

    Raises `WrongUsage` where the package is missing, and `Transient` where nothing answers.
    """
    try:
        # Imported here because it is an extra, and takes two seconds.
        from pymilvus import MilvusClient
    except ImportError as error:
        raise WrongUsage(
            "The index is to be in Milvus and its client is not installed: pip install 'footnote[milvus]'."
        ) from error
    with our_errors(url):
        return MilvusClient(url, token=token, timeout=_TIMEOUT_S, grpc_options=_UNPROBED)


@contextmanager
def our_errors(about: str) -> Iterator[None]:
    """Milvus's errors as ours: who acts next decides which."""
    from grpc import RpcError
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except MilvusException as error:
        if error.code == _NO_COLLECTION:
            raise IndexDamaged(f"The vectors of the index are not in Milvus ({about}): {REBUILD}.") from error
        raise Transient(f"Milvus does not answer for the index ({about}: {error.message}); try again.") from error
    except RpcError as error:
        raise Transient(f"Milvus does not answer for the index ({about}); try again.") from error


class Collection:
    """One collection: a chunk is part of the generations from `born` up to the one before `died`.

    `index_type` is one of Milvus's for float vectors. FLAT compares all that the filter leaves and is exact.
    """

    def __init__(self, client: MilvusClient, name: str, index_type: str = "FLAT") -> None:
        self.name = name
        self.exact = index_type == "FLAT"
        self._client = client
        self._index_type = index_type

    def create(self, dimension: int) -> None:
        from pymilvus import DataType

        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        # One key for each time a row is published: what replaces a vector stands beside it until it is seen.
        schema.add_field("key", DataType.INT64, is_primary=True)
        for name in _NUMBERS:
            schema.add_field(name, DataType.INT64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
        indexes = self._client.prepare_index_params()
        indexes.add_index("vector", index_type=self._index_type, metric_type="IP")
        for name in ("row", "born", "died", "locality"):
            indexes.add_index(name, index_type="INVERTED")
        with our_errors(self.name):
            self._client.create_collection(
                self.name, schema=schema, index_params=indexes, consistency_level="Strong", timeout=_TIMEOUT_S
            )

    def insert(self, batch: VectorBatch, born: int) -> None:
        columns = (batch.rows.tolist(), batch.localities.tolist(), batch.digests.tolist(), batch.vectors.tolist())
        entities = [
            {
                "key": born << 32 | row,
                "row": row,
                "born": born,
                "died": NEVER,
                "locality": locality,
                "digest": digest,
                "vector": vector,
            }
            for row, locality, digest, vector in zip(*columns, strict=True)
        ]
        with our_errors(self.name):
            self._client.insert(self.name, entities, timeout=_WRITE_TIMEOUT_S)

    def flush(self) -> None:
        """Have what was inserted indexed now and not some time later."""
        with our_errors(self.name):
            self._client.flush(self.name, timeout=_WRITE_TIMEOUT_S)

    def set_died(self, filter_: str, died: int) -> None:
        """Let what a filter finds be dropped in a generation."""
        keys = [entity["key"] for part in self._read(filter_, ["key"]) for entity in part]
        for at in range(0, len(keys), _READ_AT_ONCE):
            entities = [{"key": key, "died": died} for key in keys[at : at + _READ_AT_ONCE]]
            with our_errors(self.name):
                self._client.upsert(self.name, entities, partial_update=True, timeout=_WRITE_TIMEOUT_S)

    def bury(self, rows: Sequence[int], generation: int) -> None:
        """From this generation on, the former vectors of these rows are not part of the index."""
        for some in _parts(rows):
            self.set_died(f"row in {some} and born < {generation} and died == {NEVER}", generation)

    def delete(self, filter_: str) -> None:
        with our_errors(self.name):
            self._client.delete(self.name, filter=filter_, timeout=_WRITE_TIMEOUT_S)

    def closest(
        self, query: NDArray[np.float32], localities: NDArray[np.int64] | None, limit: int, generation: int
    ) -> Vectors:
        filter_ = _alive(generation)
        if localities is not None:
            filter_ += f" and locality in {localities.tolist()}"
        with our_errors(self.name):
            (answer,) = self._client.search(
                self.name,
                [query.tolist()],
                filter=filter_,
                limit=limit,
                output_fields=["row", "digest", "vector"],
                search_params={"metric_type": "IP"},
                timeout=_TIMEOUT_S,
            )
        return _vectors([hit["entity"] for hit in answer])

    def fetch(self, rows: NDArray[np.int64], generation: int) -> Vectors:
        found: list[Any] = []
        for some in _parts(rows.tolist()):
            with our_errors(self.name):
                found += self._client.query(
                    self.name,
                    filter=f"row in {some} and {_alive(generation)}",
                    output_fields=["row", "digest", "vector"],
                    limit=DEEPEST,
                    timeout=_TIMEOUT_S,
                )
        return _vectors(found)

    def everything(self, generation: int) -> Iterator[Vectors]:
        """All chunks of a generation, some at a time."""
        for part in self._read(_alive(generation), ["row", "digest", "vector"]):
            yield _vectors(part)

    def _read(self, filter_: str, fields: list[str]) -> Iterator[list[Any]]:
        """Everything that a filter finds, some at a time."""
        with our_errors(self.name):
            iterator = self._client.query_iterator(
                self.name, batch_size=_READ_AT_ONCE, filter=filter_, output_fields=fields, timeout=_TIMEOUT_S
            )
            try:
                while part := iterator.next():
                    yield list(part)
            finally:
                iterator.close()


def _alive(generation: int) -> str:
    return f"born <= {generation} and died > {generation}"


def _vectors(entities: Iterable[Any]) -> Vectors:
    found = list(entities)
    vectors = np.array([entity["vector"] for entity in found], np.float32)
    return Vectors(
        np.array([entity["row"] for entity in found], np.int64),
        vectors.reshape(len(found), -1),
        np.array([entity["digest"] for entity in found], np.int64),
    )


def _parts(rows: Sequence[int]) -> Iterator[list[int]]:
    for at in range(0, len(rows), _ROWS_AT_ONCE):
        yield list(rows[at : at + _ROWS_AT_ONCE])


def new_collection(prefix: str, generation: int) -> str:
    """A name that no collection has had; it tells the generation that it was made for."""
    return f"{prefix}_g{generation}_{uuid.uuid4().hex[:12]}"


def generation_of(collection: str) -> int:
    """The generation that a collection was made for."""
    return int(collection.rsplit("_", 2)[1].removeprefix("g"))
