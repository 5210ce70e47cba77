"""The way of a document into the catalog and the index: bytes, blocks, chunks, vectors, generation.

A run is a sequence of small batches, each of them whole: versions are staged beside the current ones, their index
generation is published, then they become current. Killed anywhere, readers keep what they had, and the next run
forgets what was staged and goes on.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from catalog.blobs import Blobs
from catalog.database import Catalog
from catalog.lock import writer_lock
from core.attachments import carried, carrier, holder, numbered, of_source, placed_under
from core.documents import Parsed, content_hash
from core.errors import UnreadableDocument
from governance.access.rules import Decision
from governance.access.sets import lists_digest
from governance.safety.sensitive import sensitive_spans
from governance.searchable import searchable_texts
from inference.encoder import Encoder
from inference.language import detect
from ingest.chunking import chunk
from ingest.indexing import IndexPublisher
from ingest.ledger import Fence, Known, Ledger, Prepared, abandon_unpublished, delete_documents, no_fence
from ingest.parsing.assembly import short_title
from ingest.report import Failure, IngestReport

BATCH_CHUNKS = 512
BATCH_SECONDS = 10.0
PARSER_VERSION = "2"
"""Raised when parsing or chunking changes what comes out, so that unchanged files are read again."""

# These end with the circumstances, not with the bytes, so the next run tries again.
PASSING_VERDICTS = frozenset({"timeout", "oom", "crash", "unreadable"})


class Parser(Protocol):
    """Bytes and a file name in, blocks out; raises `UnreadableDocument`."""

    def parse(self, data: bytes, name: str) -> Parsed: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Item:
    """One document of a source, not yet read; `load` raises `OSError` or `UnreadableDocument`."""

    external_id: str
    uri: str
    decision: Decision
    load: Callable[[], bytes]


@dataclass(frozen=True)
class Listing:
    """What a source has now. `complete` says that what is not listed is not there.

    `decide` gives the present decision for a document the catalog has, or None where the source cannot tell.
    """

    items: Sequence[Item]
    decide: Callable[[str], Decision | None]
    complete: bool


Progress = Callable[[int, int, int], None]
"""Called with documents done, documents in all, documents failed."""


# Content hash and suffix: the same bytes under another suffix may be read as another format.
_Content = tuple[str, str]


@dataclass(frozen=True)
class _Seen:
    """What the reading side found out about one item: exactly one of `prepared`, `error` and neither (unchanged).

    `vanished` are attachments that it carried and does not carry any more.
    """

    item: Item
    known: Known | None
    content_hash: str = ""
    size_bytes: int = 0
    prepared: Prepared | None = None
    error: UnreadableDocument | None = None
    moved_from: Known | None = None
    vanished: Sequence[Known] = ()


@dataclass
class _Run:
    """One run's state between its batches; `attachments` of the documents that the catalog has, by external id."""

    report: IngestReport
    known: dict[str, Known]
    missing: dict[str, Known]
    attachments: dict[str, list[Known]]
    batch: list[_Seen] = field(default_factory=list)
    batch_began: float = 0.0
    dropped: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Ingestion:
    """Everything a run needs. Safe to interrupt and repeat; one run at a time per home."""

    catalog: Catalog
    blobs: Blobs
    encoder: Encoder
    publisher: IndexPublisher
    open_parser: Callable[[], Parser]
    lock_file: Path
    lock_wait: timedelta

    def run(self, ledger: Ledger, source: str, listing: Listing, prune: bool, progress: Progress) -> IngestReport:
        """Bring the catalog and the index up to what the source has; `prune` deletes what it no longer has."""
        began = time.monotonic()
        with writer_lock(self.lock_file, f"ingesting {source}", self.lock_wait):
            self.recover()
            run = self._begin(ledger, source, listing)
            for count, seen in enumerate(self._read_ahead(run, listing), start=1):
                self._take(ledger, run, seen)
                progress(count, len(listing.items), run.report.failed)
            self._flush(ledger, run)
            run.report.missing = len(run.missing) + sum(len(run.attachments.get(key, ())) for key in run.missing)
            if prune:
                self._prune(run)
            self.publisher.publish((), run.dropped)
        run.report.seconds = time.monotonic() - began
        return run.report

    def delete(self, document_ids: Sequence[str], fence: Fence = no_fence) -> None:
        """Delete documents and what they carry: gone from the next search on, their text and bytes forgotten."""
        with writer_lock(self.lock_file, "deleting documents", self.lock_wait):
            rows, hashes = delete_documents(self.catalog, document_ids, fence)
            for name in hashes:
                self.blobs.forget(name)
            self.publisher.publish((), rows)

    def recover(self) -> None:
        """Undo what an interrupted run left half done, and let the index follow the catalog."""
        abandon_unpublished(self.catalog)
        self.publisher.repair()

    def _begin(self, ledger: Ledger, source: str, listing: Listing) -> _Run:
        known = ledger.known()
        listed = {item.external_id for item in listing.items}
        # Access first: new content of a document must never meet the rules of yesterday.
        concerned = [one for one in known.values() if listing.complete or holder(one) in listed]
        decided = [(one, listing.decide(holder(one))) for one in concerned]
        stale = [(one, decision) for one, decision in decided if decision and differs(one, decision)]
        report = IngestReport(source)
        report.access_changed = ledger.apply_access(stale)
        own = of_source(known) if listing.complete else {}
        missing = {key: one for key, one in own.items() if key not in listed}
        run = _Run(report, known, missing, carried(known.values()))
        # Where the source has a document of its own now, what was an attachment there makes way with its readers.
        self._drop(run, [known.pop(key) for key in sorted(listed & (known.keys() - of_source(known).keys()))])
        return run

    def _read_ahead(self, run: _Run, listing: Listing) -> Iterator[_Seen]:
        """Read and parse on a thread while the caller embeds and writes; the parser works in a process of its own."""
        ahead: queue.Queue[_Seen | BaseException | None] = queue.Queue(maxsize=32)
        stop = threading.Event()

        def put(entry: _Seen | BaseException | None) -> None:
            while not stop.is_set():
                with suppress(queue.Full):
                    ahead.put(entry, timeout=0.2)
                    return

        def read() -> None:
            try:
                with closing(self.open_parser()) as parser:
                    missing = by_content(run.missing)
                    for item in listing.items:
                        if stop.is_set():
                            return
                        for seen in self._look(item, run, missing, parser):
                            put(seen)
                put(None)
            except BaseException as error:  # noqa: BLE001 - carried over to the thread that reads the queue
                put(error)

        thread = threading.Thread(target=read, name="footnote-reader", daemon=True)
        thread.start()
        try:
            while (entry := ahead.get()) is not None:
                if isinstance(entry, BaseException):
                    raise entry
                yield entry
        finally:
            stop.set()
            thread.join(timeout=60)

    def _look(self, item: Item, run: _Run, missing: dict[_Content, Known], parser: Parser) -> Iterator[_Seen]:
        """Find out what has become of one item and what it carries, reading no more of it than that takes.

        Attachments come before what carries them: once that is current, a run that is repeated looks no further.
        """
        known = run.known.get(item.external_id)
        attachments = run.attachments.get(item.external_id, [])
        try:
            data = item.load()
        except (OSError, UnreadableDocument) as error:
            yield _Seen(item, known, error=unreadable(error))
            return
        hash_ = content_hash(data)
        if known is not None and unchanged(known, hash_, attachments):
            yield from (_Seen(replace(item, external_id=one.external_id, uri=one.uri), one) for one in attachments)
            yield _Seen(item, known, hash_, len(data))
            return
        moved_from = missing.pop((hash_, Path(item.external_id).suffix), None) if known is None else None
        if moved_from is not None:
            yield _Seen(item, known, hash_, len(data), moved_from=moved_from)
            return
        try:
            parsed = parser.parse(data, Path(item.external_id).name)
            prepared = self.prepare(item, parsed, data)
        except UnreadableDocument as error:
            yield _Seen(item, known, hash_, len(data), error=error)
            return
        inner = attached_items(item, parsed, run.known)
        for attachment in inner:
            yield from self._look(attachment, run, {}, _Flat(parser))
        self.blobs.keep(data)
        now = {attachment.external_id for attachment in inner}
        vanished = [one for one in attachments if one.external_id not in now]
        yield _Seen(item, known, hash_, len(data), prepared=prepared, vanished=vanished)

    def prepare(self, item: Item, parsed: Parsed, data: bytes) -> Prepared:
        """Cut a parsed document into chunks; raises `UnreadableDocument` if that leaves none."""
        title = parsed.title or short_title(Path(item.external_id).stem)
        parsed = replace(parsed, title=title)
        chunks = tuple(chunk(parsed, self.encoder.count_tokens, self.encoder.window_tokens))
        if not chunks:
            raise UnreadableDocument("empty", "the document holds no text")
        language = detect(parsed.text[:4000])
        sensitive = sensitive_spans(parsed.text)
        return Prepared(
            external_id=item.external_id,
            uri=item.uri,
            decision=item.decision,
            content_hash=content_hash(data),
            parser=PARSER_VERSION,
            size_bytes=len(data),
            title=title,
            media_type=parsed.media_type,
            language=language,
            text=parsed.text,
            chunks=chunks,
            chunk_languages=tuple(detect(parsed.text[one.start : one.end]) for one in chunks),
            vector_hashes=tuple(map(content_hash, searchable_texts(title, chunks, parsed.text, sensitive))),
            sensitive=sensitive,
        )

    def _take(self, ledger: Ledger, run: _Run, seen: _Seen) -> None:
        """Account for one item, and write a batch when it is full."""
        report, item = run.report, seen.item
        if seen.error is not None:
            report.fail(Failure(item.external_id, seen.error.verdict, seen.error.reason))
            ledger.fail(
                item.external_id,
                item.uri,
                item.decision,
                seen.error,
                (seen.content_hash, PARSER_VERSION, seen.size_bytes),
            )
        elif seen.moved_from is not None:
            ledger.move(seen.moved_from, item.external_id, item.uri, item.decision)
            run.missing.pop(seen.moved_from.external_id, None)
            run.attachments.pop(seen.moved_from.external_id, None)
            report.updated += 1
            report.moved += 1
        elif seen.prepared is not None:
            # Before the new version is current, after which nobody would look for them.
            self._drop(run, seen.vanished)
            run.batch_began = run.batch_began if run.batch else time.monotonic()
            run.batch.append(seen)
            if (
                sum(len(one.prepared.chunks) for one in run.batch if one.prepared) >= BATCH_CHUNKS
                or time.monotonic() - run.batch_began > BATCH_SECONDS
            ):
                self._flush(ledger, run)
        elif seen.known is not None and seen.known.failure_verdict is not None:
            report.fail(Failure(item.external_id, seen.known.failure_verdict, seen.known.failure_cause or ""))
        else:
            report.unchanged += 1

    def _flush(self, ledger: Ledger, run: _Run) -> None:
        """Stage a batch, publish its generation, make it current."""
        if not run.batch:
            return
        batch = [seen.prepared for seen in run.batch if seen.prepared]
        staged = ledger.stage(batch, self._embed(ledger, batch), self.encoder.fingerprint)
        self.publisher.publish([row for one in staged for row in one.rows], run.dropped)
        run.dropped = ledger.publish(staged)
        fresh = sum(seen.known is None for seen in run.batch)
        run.report.added += fresh
        run.report.updated += len(run.batch) - fresh
        run.report.chunks += sum(len(one.chunks) for one in batch)
        run.batch.clear()

    def _embed(self, ledger: Ledger, batch: Iterable[Prepared]) -> dict[str, NDArray[np.float16]]:
        texts = {hash_: text for prepared in batch for hash_, text in prepared.embedded().items()}
        missing = ledger.missing_vectors(texts, self.encoder.fingerprint)
        vectors = self.encoder.encode([texts[hash_] for hash_ in missing]).astype(np.float16)
        return dict(zip(missing, vectors, strict=True))

    def _prune(self, run: _Run) -> None:
        self._drop(run, list(run.missing.values()))
        run.report.missing = 0

    def _drop(self, run: _Run, gone: Sequence[Known]) -> None:
        """Delete documents and what they carry; their rows leave the index with the next generation."""
        rows, hashes = delete_documents(self.catalog, [one.document_id for one in gone])
        for name in hashes:
            self.blobs.forget(name)
        run.dropped += rows
        run.report.deleted += sum(1 + len(run.attachments.get(one.external_id, ())) for one in gone)


@dataclass(frozen=True)
class _Flat:
    """A parser of what another document carries: that one has named all attachments, at every depth, already."""

    parser: Parser

    def parse(self, data: bytes, name: str) -> Parsed:
        return replace(self.parser.parse(data, name), attachments=())

    def close(self) -> None:
        self.parser.close()


def attached_items(item: Item, parsed: Parsed, known: Mapping[str, Known]) -> list[Item]:
    """What a document carries, as documents of their own that its readers may read, each at a place of its own.

    One whose place a document has that is no attachment of this one gets another name: neither may take the other's
    readers over.
    """
    taken = {key for key, one in known.items() if carrier(one) != item.external_id}
    items = []
    for attachment in parsed.attachments:
        places = (placed_under(item.external_id, item.uri, name) for name in numbered(attachment.name))
        external_id, uri = next(place for place in places if place[0] not in taken)
        taken.add(external_id)
        items.append(Item(external_id, uri, item.decision, partial(bytes, attachment.data)))
    return items


def by_content(missing: dict[str, Known]) -> dict[_Content, Known]:
    """Documents whose files are gone, by what a moved file shares with them; of several the first by external id."""
    found: dict[_Content, Known] = {}
    for _, one in sorted(missing.items()):
        if one.state == "ready":
            found.setdefault((one.content_hash, Path(one.external_id).suffix), one)
    return found


def unreadable(error: OSError | UnreadableDocument) -> UnreadableDocument:
    """Why an item's bytes could not be had, as its owner is told."""
    if isinstance(error, UnreadableDocument):
        return error
    reason = f"the file could not be read ({error.strerror or error}); check its permissions"
    return UnreadableDocument("unreadable", reason)


def differs(known: Known, decision: Decision) -> bool:
    """Whether a document's present rules are others than these."""
    return known.rule != decision.rule or known.access_digest != lists_digest(decision.lists)


def unchanged(known: Known, hash_: str, attachments: Iterable[Known] = ()) -> bool:
    """Whether these bytes have been read already, with a result that reading them again would only repeat.

    `attachments` are those the document carries: one that may be read next time can only be had through it.
    """
    return known.content_hash == hash_ and all(map(_settled, (known, *attachments)))


def _settled(known: Known) -> bool:
    failed_for_good = known.state == "failed" and known.failure_verdict not in PASSING_VERDICTS
    return (known.state == "ready" or failed_for_good) and known.parser == PARSER_VERSION
