"""However a segment is scanned, the nearest are those that comparing with every readable chunk finds, bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pyroaring import BitMap

from evaluation.bench.scan import segment_of
from retrieval import dense
from retrieval.dense import nearest
from retrieval.faiss_scan import FaissScan
from retrieval.index.segment import FEWEST_FOR_CODES, SIGNS, Segment, open_segment
from retrieval.index.selection import Selection, select
from retrieval.index.signs import rotation, signs_of
from retrieval.native_scan import NativeScan, ways
from retrieval.scan import Part, Query, Scan

Vectors = NDArray[np.float32]
COUNT = 5_000
SCANS: dict[str, Callable[[], Scan]] = {
    "faiss": FaissScan,
    "faiss by codes": lambda: FaissScan(shallowest=40),
    "faiss by signs": lambda: FaissScan(signs_above=0, shallowest=1_024),
    **{
        name: lambda way=way: NativeScan(way)
        for way, name in enumerate(("portable", "avx2", "avx512"))
        if way in ways()
    },
}


def unit(vectors: NDArray[np.floating]) -> Vectors:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def uniform(random: np.random.Generator, dimension: int) -> Vectors:
    return unit(random.normal(size=(COUNT, dimension)))


def clustered(random: np.random.Generator, dimension: int) -> Vectors:
    centres = unit(random.normal(size=(20, dimension)))
    return unit(centres[np.sort(random.integers(0, 20, COUNT))] + 0.5 * uniform(random, dimension))


def with_duplicates(random: np.random.Generator, dimension: int) -> Vectors:
    return clustered(random, dimension)[random.integers(0, 60, COUNT)]


def flat(random: np.random.Generator, dimension: int) -> Vectors:
    """Only the first four components differ from zero."""
    return unit(np.pad(random.normal(size=(COUNT, 4)), ((0, 0), (0, dimension - 4))))


def sparse(random: np.random.Generator, dimension: int) -> Vectors:
    """Each along an axis, this way or that."""
    ways = random.choice(np.array([-1, 1], np.float32), (COUNT, 1))
    return np.eye(dimension, dtype=np.float32)[random.integers(0, dimension, COUNT)] * ways


def equal(random: np.random.Generator, dimension: int) -> Vectors:
    return np.repeat(unit(random.normal(size=(1, dimension))), COUNT, axis=0)


KINDS = (uniform, clustered, with_duplicates, flat, sparse, equal)


def compared_with_every_one(selection: Selection, query: Vectors, k: int) -> tuple[list[int], list[float]]:
    slots = selection.slots()
    scores = np.einsum("ij,j->i", selection.vectors(slots), query)
    best = np.lexsort((selection.rows_of(slots), -scores))[:k]
    return slots[best].tolist(), scores[best].tolist()


def found_by(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "fastest_scan", lambda: scan)


@pytest.fixture(params=SCANS)
def scan(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Scan:
    scan = SCANS[request.param]()
    found_by(scan, monkeypatch)
    return scan


def test_the_compiled_scan_is_there_where_a_compiler_was() -> None:
    """So that no other test here passes for want of it."""
    assert ways(), "retrieval._scan was not built: is there a C compiler?"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dimension", [100, 384])
def test_a_scan_finds_what_comparing_with_every_one_finds(
    kind: Callable[[np.random.Generator, int], Vectors], dimension: int, scan: Scan, tmp_path: Path
) -> None:
    random = np.random.default_rng(dimension)
    vectors = kind(random, dimension)
    segment = segment_of(tmp_path, vectors)
    shuffled = random.permutation(COUNT)
    for readable in (np.arange(COUNT), shuffled[: COUNT // 2], np.arange(2_000, 3_500), shuffled[:7]):
        selection = select([segment], BitMap(readable.tolist()))
        for query in (vectors[readable[0]], unit(vectors[readable[-1]] + 0.2 * uniform(random, dimension)[0])):
            for k in (1, 50):
                slots, scores = nearest(selection, query, k)

                assert (slots.tolist(), scores.tolist()) == compared_with_every_one(selection, query, k)


def test_segments_of_all_sizes_are_searched_together(scan: Scan, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    vectors = clustered(random, 64)
    sizes = (1, 7, 64, 900, FEWEST_FOR_CODES, COUNT)
    segments = [
        segment_of(tmp_path / str(size), vectors[:size] if size % 2 else vectors[-size:], first_row=size * COUNT)
        for size in sizes
    ]
    rows = np.concatenate([segment.arrays.rows for segment in segments])
    for readable in (rows, rows[::3]):
        selection = select(segments, BitMap(readable.tolist()))
        for k in (3, 50, 3_000, 20_000):
            slots, scores = nearest(selection, vectors[17], k)

            assert len(slots) == min(k, len(readable)), "k is filled"
            assert (slots.tolist(), scores.tolist()) == compared_with_every_one(selection, vectors[17], k)


def test_what_is_hidden_changes_no_bit(scan: Scan, tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    own, hidden = clustered(random, 64), clustered(random, 64)
    alone = segment_of(tmp_path / "alone", own)
    order = random.permutation(2 * COUNT)
    among = segment_of(tmp_path / "among", np.concatenate([own, hidden])[order], rows=order)
    readable = BitMap(range(COUNT))
    for query in hidden[:5]:
        found = []
        for segment in (alone, among):
            selection = select([segment], readable)
            slots, scores = nearest(selection, query, 50)
            found.append((selection.rows_of(slots).tolist(), scores.tolist()))

        assert found[0] == found[1]


def test_a_segment_of_an_earlier_version_has_no_signs_and_is_scanned_by_its_codes(scan: Scan, tmp_path: Path) -> None:
    vectors = clustered(np.random.default_rng(7), 64)
    written = segment_of(tmp_path, vectors)
    files = {name: file for name, file in written.record.files.items() if name not in (SIGNS, "factors.npy")}
    segment = open_segment(tmp_path, dataclasses.replace(written.record, files=files), lambda path, file: None)
    assert segment.signs is None and segment.codes is not None
    selection = select([segment], BitMap(range(0, COUNT, 2)))

    slots, scores = nearest(selection, vectors[3], 20)

    assert (slots.tolist(), scores.tolist()) == compared_with_every_one(selection, vectors[3], 20)


def test_every_way_to_compile_estimates_alike(tmp_path: Path) -> None:
    """Not only the results: the contenders are the same, so all of them leave out the same."""
    random = np.random.default_rng(8)
    for dimension in (100, 384):
        vectors = uniform(random, dimension)
        segment = segment_of(tmp_path / str(dimension), vectors)
        bitmap = select([segment], BitMap(range(0, COUNT, 2))).bitmaps[0]
        named = [
            NativeScan(way).contenders(Part(segment, bitmap, COUNT // 2), Query(vectors[0]), 10, -np.inf).tolist()
            for way in ways()
        ]

        assert all(one == named[0] for one in named)


def test_a_scan_names_few(tmp_path: Path) -> None:
    """Naming everything would be exact as well, and as slow as no scan at all."""
    vectors = clustered(np.random.default_rng(9), 384)
    segment = segment_of(tmp_path, vectors)
    selection = select([segment], BitMap(range(COUNT)))
    part = Part(segment, selection.bitmaps[0], COUNT)
    for way in ways():
        assert len(NativeScan(way).contenders(part, Query(vectors[0]), 10, -np.inf)) <= 15
    assert len(SCANS["faiss by signs"]().contenders(part, Query(vectors[0]), 10, -np.inf)) <= 600


def test_a_threshold_leaves_out_what_is_below_it(scan: Scan, tmp_path: Path) -> None:
    vectors = clustered(np.random.default_rng(10), 384)
    segment = segment_of(tmp_path, vectors)
    part = Part(segment, select([segment], BitMap(range(COUNT))).bitmaps[0], COUNT)
    scores = vectors @ vectors[0]
    threshold = float(np.sort(scores)[-4])

    positions = scan.contenders(part, Query(vectors[0]), 50, threshold)

    assert set(np.flatnonzero(scores >= threshold + 1e-5)) <= set(positions.tolist())


def test_threads_that_scan_at_once_do_not_disturb_each_other(scan: Scan, tmp_path: Path) -> None:
    vectors = clustered(np.random.default_rng(11), 64)
    segments = [segment_of(tmp_path / "one", vectors), segment_of(tmp_path / "two", vectors[:4_500], first_row=COUNT)]
    selections = [select(segments, BitMap(range(0, 2 * COUNT, step))) for step in (1, 2, 3)]
    questions = [(selection, query) for selection in selections for query in vectors[:: COUNT // 20]]
    expected = [compared_with_every_one(selection, query, 10) for selection, query in questions]

    def answer(question: tuple[Selection, Vectors]) -> tuple[Sequence[int], Sequence[float]]:
        slots, scores = nearest(*question, 10)
        return slots.tolist(), scores.tolist()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(answer, questions)) == expected


def test_the_rotation_is_orthogonal_and_always_the_same() -> None:
    for dimension in (1, 7, 64, 384):
        np.testing.assert_allclose(rotation(dimension) @ rotation(dimension).T, np.eye(dimension), atol=1e-5)
    # By hand from RandomState(20240609): what an index on disk was written with must never change.
    np.testing.assert_allclose(rotation(2)[0], rotation_of_two(), atol=1e-6)


def rotation_of_two() -> Vectors:
    """Gram and Schmidt on the first numbers of the generator."""
    drawn = np.random.RandomState(20240609).standard_normal((2, 2))
    first = drawn[:, 0] / np.linalg.norm(drawn[:, 0])
    second = drawn[:, 1] - (drawn[:, 1] @ first) * first
    return np.array([first[0], (second / np.linalg.norm(second))[0]], np.float32)


def test_bits_say_on_which_side_of_each_rotated_axis_a_vector_lies_and_how_far() -> None:
    vectors = uniform(np.random.default_rng(12), 100)[:21]
    signs = signs_of(vectors)
    rotated = vectors @ rotation(100).T
    far = np.abs(rotated) > 0.9957 / np.sqrt(100)

    first, second = (np.unpackbits(signs.words[bit].view(np.uint8), axis=1, bitorder="little") for bit in (0, 1))
    levels = 4.0 * first[:, :100] + 2 * second[:, :100] - 3

    assert (levels == np.sign(rotated) * np.where(far, 3, 1)).all()
    assert not first[:, 100:].any() and not second[:, 100:].any()
    lengths = np.linalg.norm(levels, axis=1) / np.sqrt(100)
    products = np.array([np.abs(rotated).sum(axis=1), (rotated * levels).sum(axis=1), (rotated * levels).sum(axis=1)])
    np.testing.assert_allclose(signs.factors * products, [np.ones(21), np.ones(21), lengths], rtol=1e-5)


@pytest.mark.parametrize("bits", [1, 2])
def test_estimates_are_off_by_no_more_than_they_are_said_to_be(bits: int) -> None:
    """The bound of the paper, over many pairs: errors are spread as it says, and pull in no direction."""
    random = np.random.default_rng(13)
    vectors = uniform(random, 384)
    signs = signs_of(vectors)
    first, second = (np.unpackbits(signs.words[bit].view(np.uint8), axis=1, bitorder="little") for bit in (0, 1))
    levels = (2.0 * first - 1 if bits == 1 else 4.0 * first + 2 * second - 3).astype(np.float32)
    factors, spreads = (signs.factors[row] for row in ((0, 0) if bits == 1 else (1, 2)))
    deviations = []
    for query in (Query(vector) for vector in uniform(random, 384)[:20]):
        coarse = query.coarse
        estimates = (levels @ (coarse.numbers * np.float32(coarse.step))) * factors
        exact = vectors @ query.vector
        squared = 384 * spreads.astype(np.float64) ** 2
        spread = np.sqrt(((squared - 1) * (1 - exact**2) + squared * coarse.lost**2) / 383)
        deviations.append((estimates - exact) / spread)
    errors = np.concatenate(deviations)

    assert abs(errors.mean()) < 0.05
    assert 0.9 < errors.std() < 1.05
    assert np.abs(errors).max() < 5.5


def test_a_segment_knows_where_its_codes_are(tmp_path: Path) -> None:
    vectors = clustered(np.random.default_rng(14), 64)
    segment: Segment = segment_of(tmp_path, vectors)
    expected = np.rint(vectors * np.float32(segment.record.scale)).astype(np.int16) + 128

    assert (segment.code_bytes == expected).all()
