"""Flags and bitmaps are the same sets, whichever containers hold them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyroaring import BitMap

from governance.access import bitmaps
from governance.access.bitmaps import bitmap_of, bitmap_of_numbers, bits_at, flags_of

CONTAINER = 1 << 16


def bits_of(flags: NDArray[np.bool_]) -> NDArray[np.uint64]:
    return bits_at(flags, np.arange(len(flags), dtype=np.uint32))[0]


@given(
    parts=st.lists(st.tuples(st.sampled_from([0.0, 0.01, 0.0625, 0.5, 1.0]), st.integers(1, CONTAINER)), max_size=4),
    seed=st.integers(0, 2**32 - 1),
    cut=st.integers(0, 3 * CONTAINER),
)
def test_flags_become_the_bitmap_of_their_numbers_and_back(parts: list[tuple[float, int]], seed: int, cut: int) -> None:
    random = np.random.default_rng(seed)
    flags = np.concatenate([np.zeros(0, np.bool_), *(random.random(size) < share for share, size in parts)])

    bitmap = bitmap_of(bits_of(flags))

    assert np.array_equal(np.asarray(bitmap.to_array()), np.flatnonzero(flags))
    assert np.array_equal(flags_of(bitmap, len(flags)), flags)
    assert np.array_equal(np.flatnonzero(flags_of(bitmap, cut)), np.flatnonzero(flags[:cut]))


@pytest.mark.parametrize("containers", [1, 3, 4, 5])
def test_runs_are_read_as_well(containers: int) -> None:
    """What was made from ranges may be kept as runs; up to three containers have no offsets."""
    bitmap = BitMap()
    for key in range(containers):
        bitmap |= BitMap(range(key * CONTAINER, (key + 1) * CONTAINER)) if key % 2 else BitMap()
        bitmap |= BitMap(range(key * CONTAINER + 7, key * CONTAINER + 5_000))
        bitmap |= BitMap(range(key * CONTAINER + 60_000, key * CONTAINER + CONTAINER))
    bitmap.add(containers * CONTAINER + 3)
    bitmap.run_optimize()

    flags = flags_of(bitmap, containers * CONTAINER + 10)

    assert np.array_equal(np.flatnonzero(flags), np.asarray(bitmap.to_array()))
    assert np.array_equal(bitmap_of(bits_of(flags)).to_array(), bitmap.to_array())


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1_000])
@pytest.mark.parametrize("built", [True, False])
def test_flags_are_looked_up_by_number_alike_where_nothing_was_compiled(
    count: int, built: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not built:
        monkeypatch.setattr(bitmaps, "_library", lambda: None)
    random = np.random.default_rng(count)
    flags, numbers = random.random(500) < 0.4, random.integers(0, 500, count).astype(np.uint32)

    bits, found = bits_at(flags, numbers)

    unpacked = np.unpackbits(bits.view(np.uint8), bitorder="little").astype(np.bool_)
    assert np.array_equal(unpacked[:count], flags[numbers]) and not unpacked[count:].any()
    assert (len(bits), found) == (-(-count // 64), np.count_nonzero(flags[numbers]))


@pytest.mark.parametrize("numbers", [[], [7], [2**32 - 1, 0, 65_536, 5], list(range(99_999, -1, -3))])
def test_numbers_in_any_order_become_their_bitmap(numbers: list[int]) -> None:
    assert bitmap_of_numbers(np.array(numbers, np.int64)) == BitMap(numbers)
