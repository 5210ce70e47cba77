"""Documents on their own: each is read and cut while others are; several are published in one short locked step."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from catalog.lock import writer_lock
from core.attachments import carried, carrier, holder, of_source
from core.documents import content_hash
from core.errors import Conflict, LeaseLost, UnreadableDocument, Verdict
from ingest.items import (
    PARSER_VERSION,
    Item,
    attached_items,
    differs,
    same_revision,
    stands_elsewhere,
    unchanged,
    unreadable,
)
from ingest.ledger import Fence, Known, Ledger, Prepared, abandon_unpublished, no_fence
from ingest.pipeline import BATCH_CHUNKS, Ingestion, Parser

Vectors = dict[str, NDArray[np.float16]]


def read_in(ingestion: Ingestion, parser: Parser, ledger: Ledger, item: Item) -> Prepared | None:
    """The document's newest version, read and cut, for `make_current`; None if the catalog has it so already.

    What it carries is brought in before it, so that a worker that takes over finds what is left to do, and what it
    carries no more is deleted. Raises `UnreadableDocument` when the bytes hold nothing we can index, which is noted in
    the catalog (of an attachment, only that), and `Transient` while another writer holds the home.
    """
    known = ledger.known(item.external_id)
    if item.external_id in known.keys() - of_source(known).keys():
        # A document of the source's own takes the place of an attachment, not its readers.
        ingestion.delete([known.pop(item.external_id).document_id], ledger.fence)
    ours = [one for one in known.values() if holder(one) == item.external_id]
    stale = [(one, item.decision) for one in ours if differs(one, item.decision)]
    # Access first: new content of a document must never meet the rules of yesterday, nor old content wider ones.
    waiting = ledger.narrow_access(stale).waiting
    found = _read(ingestion, ledger, item, known, parser)
    if found is None:
        _let_in(ledger, ours, item, waiting)
        return None
    prepared, attachments = found
    _bring_attachments_in(ingestion, ledger, attachments, known, parser, waiting)
    now = {attachment.external_id for attachment in attachments}
    vanished = [
        one.document_id for one in carried(known.values()).get(item.external_id, ()) if one.external_id not in now
    ]
    if vanished:
        ingestion.delete(vanished, ledger.fence)
    return prepared


def make_current(ingestion: Ingestion, ledger: Ledger, documents: Sequence[Prepared], also: Fence = no_fence) -> None:
    """Embed documents of one source, and make these versions of them current: all of them in one step, or none.

    `also` runs in the transaction that makes it so, and can refuse it. Raises `Transient` while another writer holds
    the home, and `Conflict` if the place of one has been taken since it was read.
    """
    vectors = _embed(ingestion, ledger, documents, {})
    # Whoever waits is told the task, and may not be one who may know the documents' names.
    with writer_lock(ingestion.lock_file, "publishing documents", ingestion.lock_wait):
        _publish(ingestion, ledger, documents, vectors, also)


def _let_in(ledger: Ledger, known: Iterable[Known], item: Item, waiting: Container[str]) -> None:
    """Give the rights that have waited for the content of these documents, now that it is known to be what it was."""
    ready = [one for one in known if one.external_id in waiting and one.state == "ready"]
    ledger.apply_access([(one, item.decision) for one in ready])


def _bring_attachments_in(
    ingestion: Ingestion,
    ledger: Ledger,
    items: Sequence[Item],
    known: Mapping[str, Known],
    parser: Parser,
    waiting: Container[str],
) -> None:
    batch: list[Prepared] = []
    for prepared in _readable(ingestion, ledger, items, known, parser, waiting):
        batch.append(prepared)
        if sum(len(one.chunks) for one in batch) >= BATCH_CHUNKS:
            make_current(ingestion, ledger, batch)
            batch = []
    if batch:
        make_current(ingestion, ledger, batch)


def _readable(
    ingestion: Ingestion,
    ledger: Ledger,
    items: Sequence[Item],
    known: Mapping[str, Known],
    parser: Parser,
    waiting: Container[str],
) -> Iterator[Prepared]:
    """Those attachments that can be read and are not in yet."""
    for item in items:
        try:
            found = _read(ingestion, ledger, item, known, parser)
        except UnreadableDocument:
            continue
        if found is None:
            _let_in(ledger, [known[item.external_id]], item, waiting)
        else:
            yield found[0]


def _read(
    ingestion: Ingestion, ledger: Ledger, item: Item, known: Mapping[str, Known], parser: Parser
) -> tuple[Prepared, Sequence[Item]] | None:
    """The document parsed and cut, and what it carries; None if the catalog has it so already."""
    data = b""
    before = known.get(item.external_id)
    attachments = carried(known.values()).get(item.external_id, ())
    try:
        if before is not None and same_revision(before, item, attachments):
            _as_before(ledger, before, item)
            return None
        data = _load(item)
        if before is not None and unchanged(before, content_hash(data), attachments):
            _as_before(ledger, before, item)
            return None
        parsed = parser.parse(data, item.file_name)
        prepared = ingestion.prepare(item, parsed, data)
    except _FailedBefore:
        raise
    except UnreadableDocument as error:
        seen = (content_hash(data) if data else "", PARSER_VERSION, len(data))
        ledger.fail(item.external_id, item.uri, item.decision, error, seen, (item.name, item.revision))
        raise
    ingestion.blobs.keep(data)
    return prepared, attached_items(item, parsed, known)


class _FailedBefore(UnreadableDocument):
    """Bytes that were read before in vain; the catalog knows."""


def _as_before(ledger: Ledger, known: Known, item: Item) -> None:
    """Nothing is to be read: note where it stands now, and raise what reading it raised before."""
    if stands_elsewhere(known, item):
        ledger.relocate(known, item.uri, item.name, item.revision)
    if known.state == "failed" and known.failure_verdict is not None:
        raise _FailedBefore(cast(Verdict, known.failure_verdict), known.failure_cause or "")


def _load(item: Item) -> bytes:
    try:
        return item.load()
    except OSError as error:
        raise unreadable(error) from error


def _publish(
    ingestion: Ingestion, ledger: Ledger, documents: Sequence[Prepared], vectors: Vectors, also: Fence
) -> None:
    """Stage the versions, publish their index generation, make them current, and drop what they replace."""
    present = ledger.among([one.external_id for one in documents])
    for one in documents:
        known = present.get(one.external_id)
        if known is not None and (carrier(known) is None) != (carrier(one) is None):
            # Under the other's rules it would have the other's readers.
            raise Conflict("An attachment and a document of the source's own want the same place; it is tried again.")
    # What another worker staged and could not publish makes way.
    left = abandon_unpublished(ingestion.catalog, [known.document_id for known in present.values()]) if present else []
    vectors = _embed(ingestion, ledger, documents, vectors)
    staged = ledger.stage(documents, vectors, ingestion.encoder.fingerprint)
    ingestion.publisher.publish([row for one in staged for row in one.rows], left)
    try:
        replaced = ledger.publish(staged, also)
    except LeaseLost:
        gone = abandon_unpublished(ingestion.catalog, [one.document_id for one in staged])
        ingestion.publisher.publish((), gone)
        raise
    ingestion.publisher.publish((), replaced)


def _embed(ingestion: Ingestion, ledger: Ledger, documents: Sequence[Prepared], done: Vectors) -> Vectors:
    """The vectors the catalog lacks, taken from `done` where they are there already.

    Other documents may bring or drop the same ones meanwhile, so it is asked again under the lock.
    """
    texts = {hash_: text for prepared in documents for hash_, text in prepared.embedded().items()}
    missing = ledger.missing_vectors(texts, ingestion.encoder.fingerprint)
    new = [hash_ for hash_ in missing if hash_ not in done]
    encoded = ingestion.encoder.encode([texts[hash_] for hash_ in new]).astype(np.float16) if new else ()
    found = done | dict(zip(new, encoded, strict=True))
    return {hash_: found[hash_] for hash_ in missing}
