"""While the index is damaged, the catalog is searched in its place: with the same rankings, and nobody waits for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from indexed import ENCODER, build, publish, rank, ranker, row_of, writer
from pyroaring import BitMap

from core.errors import Conflict, IndexDamaged
from retrieval import standing_in
from retrieval.engines.refilling import RefillingVectors
from retrieval.engines.vectors import NO_VECTOR
from retrieval.index import IndexReader, IndexRow, IndexWriter, Snapshot
from retrieval.index.manifest import MANIFEST, SEGMENTS, read_manifest, write_manifest
from retrieval.index.storage import Storage
from retrieval.ranking import Ranker
from retrieval.standing_in import SteadyReader

CATALOG = BitMap(range(3, 90))
READABLE = [CATALOG, BitMap(range(3, 60, 4)), BitMap([50, 51]), BitMap(), BitMap([1_000, 4])]
QUESTIONS = ["alpha contract", "notice", "nothing of the kind"]


@dataclass
class Chunks:
    """A catalog of the rows that an index has been told of."""

    read: list[tuple[int, bool]] = field(default_factory=list)

    def any(self) -> bool:
        return True

    def rows(self) -> BitMap:
        return BitMap(CATALOG)

    def index_rows(self, rows: Iterable[int], *, words: bool = True) -> Iterator[IndexRow]:
        for row in CATALOG & BitMap(rows):
            self.read.append((row, words))
            yield row_of(row) if words else row_of(row, "")


@pytest.fixture
def index(tmp_path: Path) -> Path:
    build(tmp_path / "index", [(range(60), ()), (range(60, 90), range(3))])
    return tmp_path / "index"


def steady(index: Path, chunks: Chunks, told: list[str]) -> Ranker:
    reader = SteadyReader(
        IndexReader(index),
        chunks,
        ENCODER.fingerprint,
        ENCODER.dimension,
        lambda damage: told.append(str(damage)),
    )
    return Ranker(reader, ENCODER)


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def largest(index: Path) -> Path:
    manifest = read_manifest(index)
    assert manifest is not None
    return index / SEGMENTS / max(manifest.segments, key=lambda record: record.count).id


def outdate(index: Path) -> None:
    manifest = read_manifest(index)
    assert manifest is not None
    write_manifest(index, type(manifest)(**{**vars(manifest), "analyzer": manifest.analyzer - 1}), Storage())


DAMAGE: dict[str, Callable[[Path], None]] = {
    "a flipped bit in the rows of one segment": lambda index: flip(largest(index) / "rows.npy"),
    "a file that is gone": lambda index: (largest(index) / "vectors.npy").unlink(),
    "a segment that is gone": lambda index: shutil.rmtree(largest(index)),
    "a torn manifest": lambda index: flip(index / MANIFEST),
    "an index that is gone": lambda index: shutil.rmtree(index),
    "an index of an earlier version": outdate,
}


def rankings(of: Ranker) -> list[object]:
    return [rank(of, question, readable, k).hits for question in QUESTIONS for readable in READABLE for k in (3, 100)]


@pytest.mark.parametrize("damage", DAMAGE)
def test_rankings_are_those_of_the_whole_index_to_the_last_bit(index: Path, damage: str) -> None:
    before = rankings(ranker(index))
    chunks, told = Chunks(), list[str]()
    DAMAGE[damage](index)

    found = rankings(steady(index, chunks, told))

    assert found == before
    assert len(told) == 1 and "index" in told[0], "who is told a hundred times does not listen"


def test_only_what_is_damaged_and_readable_is_read_from_the_catalog_and_once(index: Path) -> None:
    manifest = read_manifest(index)
    assert manifest is not None
    small = min(manifest.segments, key=lambda record: record.count)
    lost = next(one.live for one in IndexReader(index).snapshot().segments if one.record.id == small.id)
    flip(index / SEGMENTS / small.id / "rows.npy")
    chunks = Chunks()
    found = steady(index, chunks, [])
    for _ in range(3):
        rank(found, "alpha", BitMap(range(3, 70)), 5)
    assert sorted(chunks.read) == [(row, True) for row in lost & BitMap(range(3, 70))]


def test_what_was_read_is_kept_for_the_two_sets_that_were_asked_for_last(index: Path) -> None:
    shutil.rmtree(index)
    chunks = Chunks()
    found = steady(index, chunks, [])
    first, second, third = (BitMap(range(start, start + 9)) for start in (10, 12, 14))

    def read(readable: BitMap) -> int:
        chunks.read.clear()
        assert [row for row, _ in rank(found, "alpha", readable, 20).hits if row not in readable] == []
        return len(chunks.read)

    assert [read(rows) for rows in (first, second, first, third)] == [9, 9, 0, 9]
    assert [read(rows) for rows in (first, third, second, third, first)] == [0, 0, 9, 0, 9]


def test_what_stands_in_is_of_the_present_generation_and_let_go_when_it_is_whole(index: Path) -> None:
    flip(largest(index) / "terms.npy")
    found = steady(index, Chunks(), [])
    before = found.reader.snapshot()
    assert found.reader.snapshot() is before
    publish(index, [], [89])

    assert found.reader.snapshot().generation == before.generation + 1

    writer(index).rebuild(map(row_of, CATALOG))
    assert isinstance(found.reader, SteadyReader)
    assert (found.reader.snapshot().rows(), found.reader._standing_in) == (CATALOG, None)


class Mended(IndexReader):
    """Of an engine with vectors of its own that was damaged a moment ago, and is whole again."""

    def snapshot(self) -> Snapshot:
        raise IndexDamaged("The index is damaged: the vector of row 7 is missing.")

    def sound(self) -> Snapshot:
        return replace(super().snapshot(), elsewhere=RefillingVectors(None, ENCODER.dimension))  # type: ignore[arg-type]


def test_segments_whose_vectors_an_engine_keeps_stand_in_for_nothing(index: Path, tmp_path: Path) -> None:
    before = rankings(ranker(index))
    words = IndexWriter(tmp_path / "words", ENCODER.fingerprint, len(NO_VECTOR))
    words.publish(replace(row_of(row), vector=NO_VECTOR) for row in CATALOG)
    reader = SteadyReader(
        Mended(tmp_path / "words"), Chunks(), ENCODER.fingerprint, ENCODER.dimension, lambda damage: None
    )

    assert rankings(Ranker(reader, ENCODER)) == before


def test_of_very_many_chunks_only_the_vectors_are_read_and_no_others_words_count(
    index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(standing_in, "READ_WITH_WORDS", 10)
    writer(tmp_path / "wordless").publish(row_of(row, "") for row in CATALOG)
    flip(largest(index) / "rows.npy")
    chunks = Chunks()
    found = rank(steady(index, chunks, []), "alpha contract", CATALOG, 20)
    assert {words for _, words in chunks.read} == {False}
    vector = ENCODER.encode_query("alpha contract")
    wordless = ranker(tmp_path / "wordless").rank("", vector, CATALOG, 20)
    assert [row for row, _ in found.hits] == [row for row, _ in wordless.hits]


def test_a_rebuild_ends_it_and_new_damage_is_met_anew(index: Path) -> None:
    chunks, told = Chunks(), list[str]()
    found = steady(index, chunks, told)
    before = rankings(found)
    assert (chunks.read, told) == ([], [])
    flip(index / MANIFEST)
    assert rankings(found) == before
    writer(index).rebuild(map(row_of, CATALOG))
    chunks.read.clear()
    assert rankings(found) == before
    assert chunks.read == []
    assert isinstance(found.reader.snapshot().generation, int)
    found.reader.verify()


def test_an_index_of_a_later_version_is_refused_and_nobody_is_told(index: Path) -> None:
    manifest = read_manifest(index)
    assert manifest is not None
    write_manifest(index, type(manifest)(**{**vars(manifest), "format": manifest.format + 1}), Storage())
    told: list[str] = []
    with pytest.raises(Conflict) as raised:
        rank(steady(index, Chunks(), told), "alpha", CATALOG, 1)
    assert not isinstance(raised.value, IndexDamaged)
    assert told == []


def test_what_stands_in_has_the_rows_of_the_catalog(index: Path) -> None:
    publish(index, [], [5])
    flip(index / MANIFEST)
    assert steady(index, Chunks(), []).reader.snapshot().rows() == CATALOG
