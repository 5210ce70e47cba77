"""The way of a document into the catalog and the index: bytes, blocks, chunks, vectors, generation.

A run is a sequence of small batches, each of them whole: versions are staged beside the current ones, their index
generation is published, then they become current. Killed anywhere, readers keep what they had, and the next run
forgets what was staged and goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from catalog.blobs import Blobs
from catalog.database import Catalog
from catalog.lock import writer_lock
from core.attachments import carried, holder, of_source
from core.documents import Parsed, content_hash
from core.errors import NotFound, UnreadableDocument
from governance.access.rules import Decision
from governance.near_duplicates import signed
from governance.safety.sensitive import sensitive_spans
from governance.searchable import searchable_texts
from inference.encoder import Encoder
from inference.language import detect
from ingest.ahead import Ahead
from ingest.chunking import chunk
from ingest.indexing import IndexPublisher
from ingest.items import (
    PARSER_VERSION,
    Content,
    Item,
    Listing,
    attached_items,
    by_content,
    differs,
    same_revision,
    stands_elsewhere,
    unchanged,
    unreadable,
)
from ingest.ledger import Fence, Known, Ledger, Prepared, abandon_unpublished, delete_documents, no_fence
from ingest.parsing.assembly import short_title
from ingest.report import EmbedderTimes, Failure, IngestReport

BATCH_CHUNKS = 512
BATCH_SECONDS = 10.0
EMBEDDED_CHUNKS = 256
"""Embedded at once: enough of each length that little is padded, few enough that what comes after is never idle."""
ROOM_BYTES = 32 * 2**20
"""What may lie ready between reading and embedding, and between embedding and writing."""


class Parser(Protocol):
    """Bytes and a file name in, blocks out; raises `UnreadableDocument`."""

    def parse(self, data: bytes, name: str) -> Parsed: ...

    def close(self) -> None: ...


Vectors = dict[str, NDArray[np.float16]]
"""Vectors by the content hash of what was embedded."""

Progress = Callable[[int, int, int], None]
"""Called with documents done, documents in all, documents failed."""


_BYTES_AN_ITEM, _BYTES_A_CHUNK, _BYTES_A_CHARACTER = 2_000, 2_000, 4


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
    vectors: Vectors = field(default_factory=dict)

    @property
    def chunks(self) -> int:
        return len(self.prepared.chunks) if self.prepared else 0


@dataclass(frozen=True)
class _Parsed:
    """What the parser gave for one item, not yet cut; or `seen`, where nothing is left to be done with it."""

    item: Item
    known: Known | None
    seen: Sequence[_Seen] = ()
    data: bytes = b""
    content_hash: str = ""
    parsed: Parsed | None = None

    @property
    def weight(self) -> int:
        """About the bytes that it takes while it waits to be cut; attachments are held by the parser."""
        return _BYTES_AN_ITEM + len(self.data) + (_BYTES_A_CHARACTER * len(self.parsed.text) if self.parsed else 0)


def _weight(seen: _Seen) -> int:
    """About the bytes that an item takes while it waits for its turn."""
    text = len(seen.prepared.text) if seen.prepared else 0
    return _BYTES_AN_ITEM + _BYTES_A_CHARACTER * text + _BYTES_A_CHUNK * seen.chunks


@dataclass
class _Run:
    """One run's state between its batches; `attachments` of the documents that the catalog has, by external id.

    `waiting` are the rules that hold once a document's content is known, `readdressed` the ids of the documents that
    have other readers by now.
    """

    report: IngestReport
    known: dict[str, Known]
    missing: dict[str, Known]
    attachments: dict[str, list[Known]]
    waiting: dict[str, Decision]
    readdressed: set[str]
    batch: list[_Seen] = field(default_factory=list)
    batch_began: float = 0.0
    dropped: list[int] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)

    def come_to_be_known(self) -> list[tuple[Known, Decision]]:
        """The documents of the batch whose rules have waited for it, with these rules."""
        known = [seen.known for seen in self.batch if seen.known is not None]
        done = [(one, self.waiting.pop(one.external_id)) for one in known if one.external_id in self.waiting]
        self.readdressed.update(one.document_id for one, _ in done)
        return done


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
            with closing(self._through(ledger, run, listing)) as through:
                for count, seen in enumerate(through, start=1):
                    self._take(ledger, run, seen)
                    progress(count, len(listing.items), run.report.failed)
            self._flush(ledger, run)
            run.report.missing = len(run.missing) + sum(len(run.attachments.get(key, ())) for key in run.missing)
            run.report.access_changed = len(run.readdressed)
            if prune:
                self._prune(run)
            self.publisher.publish(run.moved, run.dropped)
            if listing.complete:
                ledger.took_content()
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
        # Access first: new content of a document must never meet the rules of yesterday, nor old content wider ones.
        concerned = [one for one in known.values() if listing.complete or holder(one) in listed]
        decided = [(one, listing.decide(holder(one))) for one in concerned]
        stale = [(one, decision) for one, decision in decided if decision and differs(one, decision)]
        report = IngestReport(source)
        narrowed = ledger.narrow_access(stale)
        own = of_source(known) if listing.complete else {}
        missing = {key: one for key, one in own.items() if key not in listed}
        run = _Run(report, known, missing, carried(known.values()), narrowed.waiting, narrowed.changed)
        # Where the source has a document of its own now, what was an attachment there makes way with its readers.
        self._drop(run, [known.pop(key) for key in sorted(listed & (known.keys() - of_source(known).keys()))])
        return run

    def _through(self, ledger: Ledger, run: _Run, listing: Listing) -> Generator[_Seen]:
        """Every item, read, cut and embedded, while the caller writes: each of the three at its own pace.

        The parser works in a process of its own besides.
        """
        with (
            Ahead(self._read(run, listing), _weight, ROOM_BYTES, "footnote-reader") as prepared,
            Ahead(
                self._embedded(ledger, run, prepared), _weight, ROOM_BYTES, "footnote-embedder", behind=prepared
            ) as embedded,
        ):
            yield from embedded

    def _read(self, run: _Run, listing: Listing) -> Generator[_Seen]:
        """Every item, cut; the parser, in its own process, is ahead with the next ones."""
        parsing = Ahead(self._parsed(run, listing), lambda one: one.weight, ROOM_BYTES, "footnote-parser")
        with parsing as ahead, _Lazy(self.open_parser) as of_attachments:
            for parsed in ahead:
                yield from self._cut(parsed, run, of_attachments)

    def _parsed(self, run: _Run, listing: Listing) -> Generator[_Parsed]:
        missing = by_content(run.missing)
        with closing(self.open_parser()) as parser:
            for item in listing.items:
                yield from self._parse(item, run, missing, parser)

    def _embedded(self, ledger: Ledger, run: _Run, prepared: Ahead[_Seen]) -> Generator[_Seen]:
        """What has been read, with vectors for what the catalog lacks: many chunks at once, or those that there are."""
        group: list[_Seen] = []
        chunks = 0
        for seen in prepared:
            group.append(seen)
            chunks += seen.chunks
            if chunks >= EMBEDDED_CHUNKS or not prepared.at_hand:
                yield from self._with_vectors(ledger, run.report.embedder, group)
                group, chunks = [], 0
        yield from self._with_vectors(ledger, run.report.embedder, group)

    def _with_vectors(self, ledger: Ledger, clock: EmbedderTimes, group: Sequence[_Seen]) -> Iterator[_Seen]:
        documents = [seen.prepared for seen in group if seen.prepared]
        vectors: Vectors = {}
        if documents:
            with clock.measured():
                vectors = self._missing_vectors(ledger, documents, {})
        for seen in group:
            hashes = seen.prepared.vector_hashes if seen.prepared else ()
            yield replace(seen, vectors={hash_: vectors[hash_] for hash_ in hashes if hash_ in vectors})

    def _parse(self, item: Item, run: _Run, missing: dict[Content, Known], parser: Parser) -> Iterator[_Parsed]:
        """Find out what has become of one item, reading no more of it than that takes."""
        known = run.known.get(item.external_id)
        attachments = run.attachments.get(item.external_id, [])
        if known is not None and same_revision(known, item, attachments):
            yield _Parsed(item, known, self._as_before(item, known, attachments))
            return
        try:
            data = item.load()
        except NotFound:
            return  # gone since it was listed; the source will say so
        except (OSError, UnreadableDocument) as error:
            yield _Parsed(item, known, [_Seen(item, known, error=unreadable(error))])
            return
        hash_ = content_hash(data)
        if known is not None and unchanged(known, hash_, attachments):
            yield _Parsed(item, known, self._as_before(item, known, attachments))
            return
        moved_from = missing.pop((hash_, Path(item.external_id).suffix), None) if known is None else None
        if moved_from is not None:
            yield _Parsed(item, known, [_Seen(item, known, hash_, len(data), moved_from=moved_from)])
            return
        try:
            parsed = parser.parse(data, item.file_name)
        except UnreadableDocument as error:
            yield _Parsed(item, known, [_Seen(item, known, hash_, len(data), error=error)])
            return
        yield _Parsed(item, known, (), data, hash_, parsed)

    def _cut(self, one: _Parsed, run: _Run, parser: Parser) -> Iterator[_Seen]:
        """What has become of an item and of what it carries, which `parser` reads.

        Attachments come before what carries them: once that is current, a run that is repeated looks no further.
        """
        if one.parsed is None:
            yield from one.seen
            return
        item, size_bytes = one.item, len(one.data)
        try:
            prepared = self.prepare(item, one.parsed, one.data)
        except UnreadableDocument as error:
            yield _Seen(item, one.known, one.content_hash, size_bytes, error=error)
            return
        inner = attached_items(item, one.parsed, run.known)
        for attachment in inner:
            for parsed in self._parse(attachment, run, {}, _Flat(parser)):
                yield from self._cut(parsed, run, parser)
        self.blobs.keep(one.data)
        now = {attachment.external_id for attachment in inner}
        attachments = run.attachments.get(item.external_id, [])
        vanished = [known for known in attachments if known.external_id not in now]
        yield _Seen(item, one.known, one.content_hash, size_bytes, prepared=prepared, vanished=vanished)

    def _as_before(self, item: Item, known: Known, attachments: Sequence[Known]) -> list[_Seen]:
        carried = [replace(item, external_id=one.external_id, uri=one.uri, name="", revision="") for one in attachments]
        return [*map(_Seen, carried, attachments), _Seen(item, known)]

    def prepare(self, item: Item, parsed: Parsed, data: bytes) -> Prepared:
        """Cut a parsed document into chunks; raises `UnreadableDocument` if that leaves none."""
        title = parsed.title or short_title(Path(item.file_name).stem)
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
            name=item.name,
            revision=item.revision,
            unread=parsed.unread,
            signature=signed(parsed.text, sensitive),
            links=parsed.links,
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
                (item.name, item.revision),
            )
        elif seen.moved_from is not None:
            run.moved += ledger.move(seen.moved_from, item.external_id, item.uri, item.decision)
            run.missing.pop(seen.moved_from.external_id, None)
            run.attachments.pop(seen.moved_from.external_id, None)
            report.updated += 1
            report.moved += 1
        elif seen.prepared is not None:
            # Before the new version is current, after which nobody would look for them.
            if seen.vanished:
                self._drop(run, seen.vanished)
            self._put_in_batch(ledger, run, seen)
        elif seen.known is not None:
            if stands_elsewhere(seen.known, item):
                ledger.relocate(seen.known, item.uri, item.name, item.revision)
            if seen.known.state == "ready" and item.external_id in run.waiting:
                self._put_in_batch(ledger, run, seen)
            if seen.known.state == "ready" and seen.known.failure_verdict is not None:
                report.unchanged += 1
                report.note_partial(item.external_id, seen.known.failure_cause or "")
            elif seen.known.failure_verdict is not None:
                report.fail(Failure(item.external_id, seen.known.failure_verdict, seen.known.failure_cause or ""))
            else:
                report.unchanged += 1

    def _put_in_batch(self, ledger: Ledger, run: _Run, seen: _Seen) -> None:
        run.batch_began = run.batch_began if run.batch else time.monotonic()
        run.batch.append(seen)
        full = sum(max(one.chunks, 1) for one in run.batch) >= BATCH_CHUNKS
        if full or time.monotonic() - run.batch_began > BATCH_SECONDS:
            self._flush(ledger, run)

    def _flush(self, ledger: Ledger, run: _Run) -> None:
        """Stage a batch, publish its generation, make it current; what has not changed comes under its rules."""
        if not run.batch:
            return
        batch = [seen.prepared for seen in run.batch if seen.prepared]
        done = {hash_: vector for seen in run.batch for hash_, vector in seen.vectors.items()}
        # Asked again: since they were embedded, batches before this one have brought and dropped vectors.
        vectors = self._missing_vectors(ledger, batch, done)
        staged = ledger.stage(batch, vectors, self.encoder.fingerprint)
        if staged:
            self.publisher.publish([row for one in staged for row in one.rows], run.dropped)
            run.dropped = []
        run.dropped += ledger.publish(staged, known=run.come_to_be_known())
        fresh = sum(seen.known is None for seen in run.batch)
        run.report.added += fresh
        run.report.updated += len(batch) - fresh
        run.report.chunks += sum(len(one.chunks) for one in batch)
        for one in batch:
            if one.unread:
                run.report.note_partial(one.external_id, one.unread)
        run.batch.clear()

    def _missing_vectors(self, ledger: Ledger, documents: Iterable[Prepared], done: Vectors) -> Vectors:
        """The vectors that the catalog lacks for these documents, taken from `done` where they are there already."""
        texts = {hash_: text for prepared in documents for hash_, text in prepared.embedded().items()}
        missing = ledger.missing_vectors(texts, self.encoder.fingerprint)
        new = [hash_ for hash_ in missing if hash_ not in done]
        encoded = self.encoder.encode([texts[hash_] for hash_ in new]).astype(np.float16) if new else ()
        return {hash_: done[hash_] for hash_ in missing if hash_ in done} | dict(zip(new, encoded, strict=True))

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


class _Lazy:
    """A parser that is opened when something is parsed."""

    def __init__(self, open_parser: Callable[[], Parser]) -> None:
        self._open = open_parser
        self._parser: Parser | None = None

    def __enter__(self) -> _Lazy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def parse(self, data: bytes, name: str) -> Parsed:
        self._parser = self._parser or self._open()
        return self._parser.parse(data, name)

    def close(self) -> None:
        if self._parser is not None:
            self._parser.close()


@dataclass(frozen=True)
class _Flat:
    """A parser of what another document carries: that one has named all attachments, at every depth, already."""

    parser: Parser

    def parse(self, data: bytes, name: str) -> Parsed:
        return replace(self.parser.parse(data, name), attachments=())

    def close(self) -> None:
        self.parser.close()
