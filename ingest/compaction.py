"""Compaction of a home: the bytes of what was deleted leave its files."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from catalog import compaction
from catalog.connections import ConnectionRow
from catalog.lock import writer_lock
from ingest.ledger import referenced_bytes
from ingest.pipeline import Ingestion

ORPHANS_KEPT = timedelta(days=1)
"""Longer than any document takes from its bytes' being kept to its record."""


def compact(ingestion: Ingestion, source_caches: Path, *, in_full: bool) -> None:
    """Rewrite index and database without what was deleted, and remove bytes that no document has.

    What was deleted is in nobody's sight already; afterwards it is in no file of the home, and, `in_full`, in no table
    of PostgreSQL. `in_full` removes all that connectors keep to be faster too, else only that of sources that are gone.
    Raises `Conflict` while another writer holds the home, and what `catalog.compaction.compact` does.
    """
    with writer_lock(ingestion.lock_file, "compacting the home", ingestion.lock_wait):
        ingestion.recover()
        ingestion.publisher.writer.compact()
        compaction.compact(ingestion.catalog.engine, in_full=in_full)
    ingestion.blobs.forget_others(referenced_bytes(ingestion.catalog), ORPHANS_KEPT)
    with ingestion.catalog.read() as session:
        standing = {str(one) for one in session.scalars(select(ConnectionRow.source_id))}
    for cache in source_caches.glob("*"):
        if in_full or cache.name not in standing:
            shutil.rmtree(cache, ignore_errors=True)
