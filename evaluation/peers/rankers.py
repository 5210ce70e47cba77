"""Frameworks that rank documents for a question, each in an environment of its own."""

from __future__ import annotations

from pathlib import Path

from evaluation.peers.environments import peer_python
from evaluation.peers.ingesters import TXTAI

PROGRAM = Path(__file__).with_name("ranking_programs.py")

_NUMPY, _FAISS, _SPLITTERS = "numpy==2.4.6", "faiss-cpu==1.15.1", "langchain-text-splitters==1.1.3"
_REQUIREMENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "llama-index": (
        "llama-index-ranking",
        (
            "llama-index-core==0.14.25",
            "llama-index-retrievers-bm25==0.8.0",
            "llama-index-vector-stores-faiss==0.7.0",
            _FAISS,
            _NUMPY,
        ),
    ),
    "haystack": ("haystack-ranking", ("haystack-ai==3.4.0", _NUMPY)),
    "langchain": (
        "langchain-ranking",
        ("langchain-community==0.4.2", _SPLITTERS, "rank-bm25==0.2.2", _FAISS, _NUMPY),
    ),
    # It needs torch and transformers, whoever embeds.
    "txtai": TXTAI,
    "chroma": ("chromadb", ("chromadb==1.5.9", _NUMPY)),
}
RANKERS = tuple(_REQUIREMENTS)
"""The peers by the names that `ranking_programs.SYSTEMS` has for them."""


def requirements(system: str) -> tuple[str, tuple[str, ...]]:
    """The name of the peer's environment, and what is installed in it."""
    return _REQUIREMENTS[system]


def ranker(system: str) -> list[str]:
    """The command that indexes and searches, without its arguments; raises `Transient` where it cannot be installed."""
    return [str(peer_python(*_REQUIREMENTS[system])), "-I", "-W", "ignore", str(PROGRAM), system]
