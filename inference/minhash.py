"""Near-duplicates: a text in, a small signature out whose agreement with another estimates how much they share.

What two texts share is the Jaccard index of their sets of shingles, runs of three words (Broder, 1997: *On the
resemblance and containment of documents*). Each of 120 permutations keeps the least of a text's hashed shingles; two
texts have the same least one with the probability of their Jaccard index.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

Signature = NDArray[np.uint32]
"""(PERMUTATIONS,): the least hash under each permutation."""

Shingles = frozenset[str]

SIGNATURE_VERSION = 1
"""Raised when the same text would give another signature; only those of one version are compared."""

SHINGLE_WORDS = 3
PERMUTATIONS = 120
# At the threshold of 0.8 a pair shares one of 20 bands of 6 with a probability of 1 - (1 - 0.8**6)**20 = 0.998, and at
# 0.5 with 0.27 (Leskovec, Rajaraman and Ullman, *Mining of Massive Datasets*, 3.4).
BANDS, ROWS = 20, 6
NEAR = 0.8
"""From this share on, texts are near-duplicates."""
FEWEST_SHINGLES = 16
"""A text of fewer says too little to be taken for another by what it shares."""

# Scripts that write no spaces: each character is a word of its own.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")

# So many shingles are hashed at once, whatever the length of the text: 4 MB under all permutations.
_BLOCK = 4_096

_RANDOM = np.random.default_rng(1997)
_FACTORS = _RANDOM.integers(0, 2**63, (PERMUTATIONS, 1), np.uint64) << np.uint64(1) | np.uint64(1)
_SUMMANDS = _RANDOM.integers(0, 2**64, (PERMUTATIONS, 1), np.uint64)
_BAND_FACTORS = _RANDOM.integers(0, 2**63, (BANDS, ROWS), np.uint64) << np.uint64(1) | np.uint64(1)


def words(text: str) -> Iterator[str]:
    """The words of a text whatever their case, without what stands between them."""
    return (match.group() for match in _WORD.finditer(text.casefold()))


def signature(text: str) -> Signature | None:
    """The signature of a text; None for one of fewer than `FEWEST_SHINGLES` different shingles.

    The same in every process and on every machine. Takes memory for the text and a few megabytes.
    """
    least = np.full(PERMUTATIONS, np.iinfo(np.uint32).max, np.uint32)
    some: NDArray[np.uint64] = np.zeros(0, np.uint64)
    for shingles in _hashed_shingles(words(text)):
        if len(some) < FEWEST_SHINGLES:
            some = np.union1d(some, shingles)[:FEWEST_SHINGLES]
        # Multiply and shift (Dietzfelbinger and others, 1997) of keys that are spread already.
        permuted = shingles * _FACTORS
        permuted += _SUMMANDS
        np.minimum(least, (permuted.min(axis=1) >> np.uint64(32)).astype(np.uint32), out=least)
    return least if len(some) == FEWEST_SHINGLES else None


def resemblance(one: Signature, other: Signature) -> float:
    """What two texts share, estimated from their signatures: off by 0.04 at 0.8 (one standard deviation)."""
    return float(np.mean(one == other))


def band_keys(signature: Signature) -> list[int]:
    """A number for each band, signed and of 64 bits; texts that share one are worth comparing."""
    keys: list[int] = _keys(signature[np.newaxis])[0].tolist()
    return keys


def near_pairs(signatures: NDArray[np.uint32]) -> list[tuple[int, int]]:
    """Of (n, PERMUTATIONS), the rows that share a band and are near-duplicates, the lesser first; in order."""
    if len(signatures) < 2:
        return []
    keys = _keys(signatures)
    values, counts = np.unique(keys, return_counts=True)
    shared = values[counts > 1]
    if not len(shared):
        return []
    holders: dict[int, set[int]] = {}
    for place, band in np.argwhere(np.isin(keys, shared)).tolist():
        holders.setdefault(int(keys[place, band]), set()).add(place)
    candidates = {pair for places in holders.values() for pair in combinations(sorted(places), 2)}
    return sorted((one, other) for one, other in candidates if resemblance(signatures[one], signatures[other]) >= NEAR)


def to_bytes(signature: Signature) -> bytes:
    """Little-endian, as it is kept."""
    return signature.astype("<u4").tobytes()


def from_bytes(data: bytes) -> Signature:
    return np.frombuffer(data, "<u4").astype(np.uint32, copy=False)


def stacked(signatures: Sequence[bytes]) -> NDArray[np.uint32]:
    """(n, PERMUTATIONS) of signatures as they are kept."""
    return from_bytes(b"".join(signatures)).reshape(-1, PERMUTATIONS)


def shingles_of(text: str) -> Shingles:
    """The shingles of a short text themselves; all its words as one where they are too few."""
    found = list(words(text))
    runs = zip(*(found[at:] for at in range(SHINGLE_WORDS)), strict=False)
    # As strings, which keep their hash: each meets many others.
    return frozenset(map(" ".join, runs)) if len(found) >= SHINGLE_WORDS else frozenset([" ".join(found)])


def jaccard(one: Shingles, other: Shingles) -> float:
    """What two sets of shingles share: exactly what `resemblance` estimates."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def _keys(signatures: NDArray[np.uint32]) -> NDArray[np.int64]:
    """(n, BANDS) of signatures (n, PERMUTATIONS)."""
    rows = signatures.reshape(-1, BANDS, ROWS) + np.uint64(1)
    return _spread((rows * _BAND_FACTORS).sum(axis=2, dtype=np.uint64)).view(np.int64)


def _hashed_shingles(found: Iterable[str]) -> Iterator[NDArray[np.uint64]]:
    """The shingles of these words as numbers, block after block; a block may hold one twice."""
    stream = map(_key, found)
    before: list[int] = []
    while block := list(islice(stream, _BLOCK)):
        keys = np.array(before + block, np.uint64)
        before = (before + block)[-(SHINGLE_WORDS - 1) :]
        if len(keys) >= SHINGLE_WORDS:
            first, second, third = keys[:-2], keys[1:-1], keys[2:]
            yield _spread(_spread(_spread(first) + second) + third)


@lru_cache(maxsize=1 << 15)
def _key(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(errors="replace"), digest_size=8).digest(), "little")


def _spread(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit of a key moves every bit of the result (the finalizer of SplitMix64; Steele and others, 2014)."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    spread: NDArray[np.uint64] = keys ^ (keys >> np.uint64(31))
    return spread
