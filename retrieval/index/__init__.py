"""Vectors and postings of chunks in, generations of immutable segments out; it knows no text, no SQL and no access."""

from retrieval.index.reader import IndexReader, Snapshot
from retrieval.index.segment import IndexRow
from retrieval.index.writer import IndexWriter

__all__ = ["IndexReader", "IndexRow", "IndexWriter", "Snapshot"]
