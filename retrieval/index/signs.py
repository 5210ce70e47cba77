"""Signs: one bit for each dimension of a rotated vector, which is what a scan of a large segment reads first.

RaBitQ, Gao and Long, SIGMOD 2024 (arXiv:2405.12497), with one bit and a second one, and the origin as the centre, so
that what is kept of a vector depends on nothing else. See docs/decisions/dense-scan.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

_WORD = 64
_TINY = np.finfo(np.float32).tiny
_SEED = 20240609
_VECTORS_AT_ONCE = 16_384

# Where a component of a normal distribution is closer to 3 halves of the best step than to one: Max, "Quantizing for
# minimum distortion", 1960, for four levels.
_FAR = 0.9957


@dataclass(frozen=True, eq=False)
class Signs:
    """Of `n` vectors, row by row, the first dimension in the lowest bit; bits beyond the last dimension are zero.

    With a second bit a component is one of four levels, 0 to 3 for -3, -1, 1 and 3, of which the first bit is the
    sign. `factors` have three rows: 1 / (rotated vector · signs), 1 / (rotated vector · levels), and that times the
    length of the levels over that of signs.
    """

    words: NDArray[np.uint64]  # (2, n, words of a vector): the first bits, which are the signs; the second
    factors: NDArray[np.float32]  # (3, n)

    @cached_property
    def largest_factor(self) -> float:
        """Of the first row."""
        return float(self.factors[0].max())


@cache
def rotation(dimension: int) -> NDArray[np.float32]:
    """(dimension, dimension): an orthogonal matrix drawn uniformly (Haar), the same on every machine.

    `RandomState` is the generator whose numbers NumPy promises never to change. With the signs of R's diagonal the
    factorization is unique, whichever library computes it, up to rounding.
    """
    drawn = np.random.RandomState(_SEED).standard_normal((dimension, dimension))
    orthogonal, triangular = np.linalg.qr(drawn)
    return np.ascontiguousarray(orthogonal * np.sign(np.diag(triangular)), np.float32)


def signs_of(vectors: NDArray[np.float32]) -> Signs:
    """The signs of `vectors`: shape (n, dimension), rows of length 1."""
    count, dimension = vectors.shape
    words = np.empty((2, count, -(-dimension // _WORD)), np.uint64)
    factors = np.empty((3, count), np.float32)
    for start in range(0, count, _VECTORS_AT_ONCE):
        rotated = vectors[start : start + _VECTORS_AT_ONCE] @ rotation(dimension).T
        here = slice(start, start + len(rotated))
        positive, far = rotated > 0, np.abs(rotated) > _FAR / np.sqrt(dimension)
        words[0, here], words[1, here] = packed_bits(positive), packed_bits(positive == far)
        levels = np.where(positive, np.float32(1), np.float32(-1)) * np.where(far, np.float32(3), np.float32(1))
        lengths = np.linalg.norm(levels, axis=1) / np.sqrt(dimension)
        factors[0, here] = 1 / np.maximum(np.abs(rotated).sum(axis=1), _TINY)
        factors[1, here] = 1 / np.maximum((rotated * levels).sum(axis=1), _TINY)
        factors[2, here] = factors[1, here] * lengths
    return Signs(words, factors)


def packed_bits(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """(n, words): each row's bits, the first in the lowest bit of the first word, zeros after the last."""
    packed = np.packbits(bits, axis=1, bitorder="little")
    padded = np.zeros((len(bits), -(-bits.shape[1] // _WORD) * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view("<u8").astype(np.uint64, copy=False)
