"""One document on its own: read, cut and embedded while others are, then published in one short locked step."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from catalog.lock import writer_lock
from core.documents import content_hash
from core.errors import UnreadableDocument, Verdict
from ingest.ledger import Fence, Known, Ledger, Prepared, abandon_unpublished
from ingest.pipeline import PARSER_VERSION, Ingestion, Item, Parser, differs, unchanged, unreadable

Vectors = dict[str, NDArray[np.float16]]


def bring_in(ingestion: Ingestion, parser: Parser, ledger: Ledger, item: Item, also: Fence) -> None:
    """Make the document's newest version what `item` loads; nothing is read twice that was read already.

    `also` runs in the transaction that makes it so, and can refuse it. Raises `UnreadableDocument` when the bytes
    hold nothing we can index, which is noted in the catalog, and `Transient` while another writer holds the home.
    """
    known = ledger.known(item.external_id).get(item.external_id)
    if known is not None and differs(known, item.decision):
        # Access first: new content of a document must never meet the rules of yesterday.
        ledger.apply_access([(known, item.decision)])
    prepared = _read(ingestion, parser, ledger, item, known)
    if prepared is None:
        ledger.publish((), also)
        return
    vectors = _embed(ingestion, ledger, prepared, {})
    with writer_lock(ingestion.lock_file, f"publishing {item.external_id}", ingestion.lock_wait):
        _publish(ingestion, ledger, prepared, vectors, also)


def _read(ingestion: Ingestion, parser: Parser, ledger: Ledger, item: Item, known: Known | None) -> Prepared | None:
    """The document parsed and cut; None if the catalog has it so already."""
    data = b""
    try:
        data = _load(item)
        if known is not None and unchanged(known, content_hash(data)):
            if known.failure_verdict is not None:
                raise UnreadableDocument(cast(Verdict, known.failure_verdict), known.failure_cause or "")
            return None
        prepared = ingestion.prepare(item, parser.parse(data, item.external_id.rpartition("/")[2]), data)
    except UnreadableDocument as error:
        seen = (content_hash(data) if data else "", PARSER_VERSION, len(data))
        ledger.fail(item.external_id, item.uri, item.decision, error, seen)
        raise
    ingestion.blobs.keep(data)
    return prepared


def _load(item: Item) -> bytes:
    try:
        return item.load()
    except OSError as error:
        raise unreadable(error) from error


def _publish(ingestion: Ingestion, ledger: Ledger, prepared: Prepared, vectors: Vectors, also: Fence) -> None:
    """Stage the version, publish its index generation, make it current, and drop what it replaces."""
    for known in ledger.known(prepared.external_id).values():
        # What another worker staged and could not publish makes way.
        abandon_unpublished(ingestion.catalog, known.document_id)
    vectors = _embed(ingestion, ledger, prepared, vectors)
    staged = ledger.stage([prepared], vectors, ingestion.encoder.fingerprint)
    ingestion.publisher.publish([row for one in staged for row in one.rows], ())
    ingestion.publisher.publish((), ledger.publish(staged, also))


def _embed(ingestion: Ingestion, ledger: Ledger, prepared: Prepared, done: Vectors) -> Vectors:
    """The vectors the catalog lacks, taken from `done` where they are there already.

    Other documents may bring or drop the same ones meanwhile, so it is asked again under the lock.
    """
    texts = prepared.embedded()
    missing = ledger.missing_vectors(texts, ingestion.encoder.fingerprint)
    new = [hash_ for hash_ in missing if hash_ not in done]
    encoded = ingestion.encoder.encode([texts[hash_] for hash_ in new]).astype(np.float16) if new else ()
    found = done | dict(zip(new, encoded, strict=True))
    return {hash_: found[hash_] for hash_ in missing}
