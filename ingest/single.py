"""One document on its own: read, cut and embedded while others are, then published in one short locked step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from catalog.lock import writer_lock
from core.attachments import carried, holder, of_source
from core.documents import content_hash
from core.errors import LeaseLost, UnreadableDocument, Verdict
from ingest.ledger import Fence, Known, Ledger, Prepared, abandon_unpublished, no_fence
from ingest.pipeline import (
    PARSER_VERSION,
    Ingestion,
    Item,
    Parser,
    attached_items,
    differs,
    unchanged,
    unreadable,
)

Vectors = dict[str, NDArray[np.float16]]


def bring_in(ingestion: Ingestion, parser: Parser, ledger: Ledger, item: Item, also: Fence) -> None:
    """Make the document's newest version what `item` loads; nothing is read twice that was read already.

    What it carries is brought in before it, so that a worker that takes over finds what is left to do, and what it
    carries no more is deleted. `also` runs in the transaction that makes it so, and can refuse it. Raises
    `UnreadableDocument` when the bytes hold nothing we can index, which is noted in the catalog (of an attachment,
    only that), and `Transient` while another writer holds the home.
    """
    known = ledger.known(item.external_id)
    if item.external_id in known.keys() - of_source(known).keys():
        # A document of the source's own takes the place of an attachment, not its readers.
        ingestion.delete([known.pop(item.external_id).document_id], ledger.fence)
    ours = [one for one in known.values() if holder(one) == item.external_id]
    stale = [(one, item.decision) for one in ours if differs(one, item.decision)]
    # Access first: new content of a document must never meet the rules of yesterday.
    ledger.apply_access(stale)
    found = _read(ingestion, ledger, item, known, parser)
    if found is None:
        ledger.publish((), also)
        return
    for attachment in found.attachments:
        _bring_attachment_in(ingestion, ledger, attachment, known, parser)
    now = {attachment.external_id for attachment in found.attachments}
    vanished = [
        one.document_id for one in carried(known.values()).get(item.external_id, ()) if one.external_id not in now
    ]
    if vanished:
        ingestion.delete(vanished, ledger.fence)
    _make_current(ingestion, ledger, found.prepared, also)


@dataclass(frozen=True)
class _Found:
    """A document parsed and cut, and what it carries."""

    prepared: Prepared
    attachments: Sequence[Item]


def _bring_attachment_in(
    ingestion: Ingestion, ledger: Ledger, item: Item, known: Mapping[str, Known], parser: Parser
) -> None:
    with suppress(UnreadableDocument):
        found = _read(ingestion, ledger, item, known, parser)
        if found is not None:
            _make_current(ingestion, ledger, found.prepared, no_fence)


def _make_current(ingestion: Ingestion, ledger: Ledger, prepared: Prepared, also: Fence) -> None:
    vectors = _embed(ingestion, ledger, prepared, {})
    # Whoever waits is told the task, and may not be one who may know the document's name.
    with writer_lock(ingestion.lock_file, "publishing a document", ingestion.lock_wait):
        _publish(ingestion, ledger, prepared, vectors, also)


def _read(
    ingestion: Ingestion, ledger: Ledger, item: Item, known: Mapping[str, Known], parser: Parser
) -> _Found | None:
    """The document parsed and cut; None if the catalog has it so already."""
    data = b""
    before = known.get(item.external_id)
    attachments = carried(known.values()).get(item.external_id, ())
    try:
        data = _load(item)
        if before is not None and unchanged(before, content_hash(data), attachments):
            if before.failure_verdict is not None:
                raise UnreadableDocument(cast(Verdict, before.failure_verdict), before.failure_cause or "")
            return None
        parsed = parser.parse(data, item.external_id.rpartition("/")[2])
        prepared = ingestion.prepare(item, parsed, data)
    except UnreadableDocument as error:
        seen = (content_hash(data) if data else "", PARSER_VERSION, len(data))
        ledger.fail(item.external_id, item.uri, item.decision, error, seen)
        raise
    ingestion.blobs.keep(data)
    return _Found(prepared, attached_items(item, parsed, known))


def _load(item: Item) -> bytes:
    try:
        return item.load()
    except OSError as error:
        raise unreadable(error) from error


def _publish(ingestion: Ingestion, ledger: Ledger, prepared: Prepared, vectors: Vectors, also: Fence) -> None:
    """Stage the version, publish its index generation, make it current, and drop what it replaces."""
    known = ledger.known(prepared.external_id).get(prepared.external_id)
    if known is not None:
        # What another worker staged and could not publish makes way.
        abandon_unpublished(ingestion.catalog, known.document_id)
    vectors = _embed(ingestion, ledger, prepared, vectors)
    staged = ledger.stage([prepared], vectors, ingestion.encoder.fingerprint)
    ingestion.publisher.publish([row for one in staged for row in one.rows], ())
    try:
        replaced = ledger.publish(staged, also)
    except LeaseLost:
        for one in staged:
            abandon_unpublished(ingestion.catalog, one.document_id)
        raise
    ingestion.publisher.publish((), replaced)


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
