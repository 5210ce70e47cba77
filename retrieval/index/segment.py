"""A segment: the vectors and postings of some chunks, as immutable memory-mapped arrays."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from governance.access.bitmaps import bitmap_of_numbers
from retrieval.index.checking import Check
from retrieval.index.manifest import SegmentRecord
from retrieval.index.signs import Signs, signs_of
from retrieval.index.storage import FileRecord, Storage

CODES = "codes.faiss"
SIGNS, FACTORS = "bits.npy", "factors.npy"

# Below this a segment's vectors are read themselves: a scan of its codes would save less than it costs.
FEWEST_FOR_CODES = 4_096

LARGEST_CODE = 127
"""The largest number that an 8-bit code holds."""
_QUANTIZED_AT_ONCE = 16_384


@dataclass(frozen=True)
class IndexRow:
    """One chunk to be indexed.

    `row` is its number in the catalog, below 2^32; `vector` has length 1 up to rounding; `text` is what the lexical
    index reads, in `language` (ISO 639-1); `months` are those its document is of, see `retrieval.periods`;
    `links` are the texts of its links. Chunks of equal `locality` are kept next to each other: give chunks that the
    same people may read the same number. It is a hint for speed and decides nothing.
    """

    row: int
    vector: NDArray[np.float32] | NDArray[np.float16]
    text: str
    language: str
    locality: int
    months: tuple[int, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class SegmentArrays:
    """`n` chunks of a segment, in the order they are stored; `t` distinct terms, `p` postings.

    Term `terms[i]` occurs in the chunks `chunks[offsets[i]:offsets[i + 1]]`, as often as `frequencies` says there.
    """

    vectors: NDArray[np.float32]  # (n, dimension), rows of length 1
    rows: NDArray[np.int64]  # (n,) catalog rows
    locality: NDArray[np.int64]  # (n,) chunks of equal locality are kept together
    languages: NDArray[np.uint16]  # (n,) see `language_code`
    lengths: NDArray[np.uint32]  # (n,) words
    terms: NDArray[np.uint64]  # (t,) ascending; see `postings.term_key`
    offsets: NDArray[np.int64]  # (t + 1,)
    chunks: NDArray[np.uint32]  # (p,) ascending within a term
    frequencies: NDArray[np.uint16]  # (p,)


ARRAYS = tuple(SegmentArrays.__dataclass_fields__)


@dataclass(frozen=True)
class Segment:
    """An open segment; it stays readable after its files have been removed."""

    record: SegmentRecord
    arrays: SegmentArrays
    codes: Any  # None, or a faiss.IndexScalarQuantizer: `scale` times the vectors, in 8 bits, inner product
    dropped: BitMap
    signs: Signs | None = None  # None without codes, and in a segment written by an earlier version

    def prepare(self) -> None:
        """Have at hand what the first question would wait for."""
        _ = self.live, self.row_numbers, self.sorted_rows

    @cached_property
    def code_bytes(self) -> NDArray[np.uint8]:
        """(n, dimension): the numbers of `codes` plus 128, where FAISS keeps them."""
        shape = self.arrays.vectors.shape
        stored: NDArray[np.uint8] = faiss.rev_swig_ptr(self.codes.codes.data(), shape[0] * shape[1])
        return stored.reshape(shape)

    @cached_property
    def live(self) -> BitMap:
        """The rows that are part of the index."""
        return bitmap_of_numbers(self.arrays.rows) - self.dropped

    @cached_property
    def row_numbers(self) -> NDArray[np.uint32]:
        """The rows in 32 bits, in which all of them are: half as much to read."""
        return self.arrays.rows.astype(np.uint32)

    @cached_property
    def sorted_rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows ascending, and where in the segment each stands."""
        order = np.argsort(self.arrays.rows, kind="stable")
        return self.arrays.rows[order], order


def language_code(language: str) -> int:
    """Two letters of ISO 639-1 as a number of 16 bits, 0 for none."""
    letters = language.encode("ascii", "ignore")
    return letters[0] << 8 | letters[1] if len(letters) == 2 else 0


def write_segment(folder: Path, name: str, arrays: SegmentArrays, storage: Storage) -> SegmentRecord:
    """Store a segment beside the others, whole or not at all."""
    temporary = folder / f"{name}.new"
    storage.make_folder(temporary)
    files = {f"{field}.npy": _save(temporary / f"{field}.npy", getattr(arrays, field), storage) for field in ARRAYS}
    scale = residual = 0.0
    if len(arrays.rows) >= FEWEST_FOR_CODES:
        codes, scale, residual = _quantize(arrays.vectors)
        files[CODES] = storage.write(temporary / CODES, [np.asarray(faiss.serialize_index(codes)).data])
        signs = signs_of(arrays.vectors)
        files[SIGNS] = _save(temporary / SIGNS, signs.words, storage)
        files[FACTORS] = _save(temporary / FACTORS, signs.factors, storage)
    storage.sync_folder(temporary)
    storage.rename(temporary, folder / name)
    count = len(arrays.rows)
    return SegmentRecord(name, count, count, scale, residual, files)


def write_dropped(folder: Path, record: SegmentRecord, dropped: BitMap, name: str, storage: Storage) -> SegmentRecord:
    """Store which rows of a segment are gone; the segment itself does not change."""
    temporary = folder / record.id / f"{name}.new"
    file = storage.write(temporary, [dropped.serialize()])
    storage.rename(temporary, folder / record.id / name)
    files = {other: kept for other, kept in record.files.items() if other != record.dropped} | {name: file}
    return replace(record, live=record.count - len(dropped), files=files, dropped=name)


def open_segment(folder: Path, record: SegmentRecord, check: Check) -> Segment:
    """Map a segment's files, each of which `check` has found to be what was written before anything else reads it.

    Raises `IndexDamaged` as `check` does, and `FileNotFoundError` where a file is gone, which a newer generation
    explains or nothing does.
    """
    place = folder / record.id
    for name, file in record.files.items():
        check(place / name, file)
    loaded = {field: _map(place / f"{field}.npy") for field in ARRAYS}
    codes = faiss.read_index(str(place / CODES), faiss.IO_FLAG_MMAP_IFC) if CODES in record.files else None
    dropped = BitMap.deserialize((place / record.dropped).read_bytes()) if record.dropped else BitMap()
    signs = Signs(_map(place / SIGNS), _map(place / FACTORS)) if SIGNS in record.files else None
    return Segment(record, SegmentArrays(**loaded), codes, dropped, signs)


def _map(path: Path) -> NDArray[Any]:
    # A plain array over the map: numpy's own class for them makes every slice slower.
    mapped: NDArray[Any] = np.load(path, mmap_mode="r").view(np.ndarray)
    return mapped


def _save(path: Path, array: NDArray[np.generic], storage: Storage) -> FileRecord:
    header = io.BytesIO()
    contiguous = np.ascontiguousarray(array)
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(contiguous))
    return storage.write(path, [header.getvalue(), contiguous.reshape(-1).view(np.uint8).data])


def _quantize(vectors: NDArray[np.float32]) -> tuple[Any, float, float]:
    """The vectors in 8 bits, what they were multiplied with, and the greatest length of what rounding took away.

    By Cauchy and Schwarz a score of a unit query against a code is off by at most that length.
    """
    scale = LARGEST_CODE / float(max(vectors.max(), -vectors.min()))
    codes: Any = faiss.IndexScalarQuantizer(
        vectors.shape[1], faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
    )
    residual = 0.0
    for start in range(0, len(vectors), _QUANTIZED_AT_ONCE):
        some = vectors[start : start + _QUANTIZED_AT_ONCE]
        rounded = np.rint(some * np.float32(scale))
        residual = max(residual, float(np.linalg.norm(some - rounded / np.float32(scale), axis=1).max()))
        codes.add(rounded)
    return codes, scale, residual
