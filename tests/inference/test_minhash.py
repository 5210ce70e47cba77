"""Signatures estimate what texts share; what shares enough is found."""

from __future__ import annotations

import random
import subprocess
import sys
import tracemalloc

import pytest
from prose import prose

from inference.minhash import (
    NEAR,
    band_keys,
    from_bytes,
    jaccard,
    near_pairs,
    resemblance,
    shingles_of,
    signature,
    stacked,
    to_bytes,
)

KEYS = [-1905325536282945897, -4458873289252707458, -3328691199227688412]


def edited(text: str, share: float, draw: random.Random) -> str:
    """`text` with about this share of its words replaced by others, one at a time."""
    words = text.split()
    for place in draw.sample(range(len(words)), round(share * len(words))):
        words[place] = f"other{draw.randrange(10**9)}"
    return " ".join(words)


def pairs() -> list[tuple[str, str]]:
    """Texts and edits of them that share between all and next to nothing of their shingles."""
    draw = random.Random(1997)
    originals = [" ".join(prose(seed, sentences=30)) for seed in range(240)]
    return [(text, edited(text, 0.2 * number / len(originals), draw)) for number, text in enumerate(originals)]


def test_what_two_texts_share_is_estimated_as_closely_as_the_mathematics_says() -> None:
    exact, estimated = [], []
    for one, other in pairs():
        signatures = signature(one), signature(other)
        assert signatures[0] is not None and signatures[1] is not None
        exact.append(jaccard(shingles_of(one), shingles_of(other)))
        estimated.append(resemblance(*signatures))

    assert min(exact) < 0.5 and max(exact) == 1
    errors = [abs(a - b) for a, b in zip(exact, estimated, strict=True)]
    # The standard deviation of a share s is sqrt(s (1 - s) / 120): at most 0.046.
    assert sum(errors) / len(errors) < 0.046
    assert max(errors) < 4 * 0.046


def test_near_duplicates_are_found_and_little_else() -> None:
    """Precision and recall against the exact index, of pairs that share from a third to all."""
    texts = [text for pair in pairs() for text in pair]
    signatures = [to_bytes(one) for one in map(signature, texts) if one is not None]
    assert len(signatures) == len(texts)
    found = set(near_pairs(stacked(signatures)))
    share = {
        (at, at + 1): jaccard(shingles_of(texts[at]), shingles_of(texts[at + 1])) for at in range(0, len(texts), 2)
    }
    near = {pair for pair, exact in share.items() if exact >= NEAR}

    assert len(near) > 40
    assert found <= share.keys(), "no text is taken for one that it was not made from"
    assert len(found & near) / len(near) >= 0.9
    assert len(found & near) / len(found) >= 0.9
    # What is wrong is wrong by a hair: four standard deviations of 120 permutations at the threshold.
    assert all(abs(share[pair] - NEAR) < 0.15 for pair in found ^ near)


def test_a_signature_is_the_same_in_every_process() -> None:
    program = "import sys; from inference.minhash import *; print(band_keys(signature(sys.stdin.read())))"
    text = " ".join(prose(7))
    command = [sys.executable, "-c", program]
    other = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout

    mine = signature(text)
    assert mine is not None
    assert other.strip() == str(band_keys(mine))
    assert band_keys(mine)[:3] == KEYS, "signatures that are kept are compared with those made later"
    assert (from_bytes(to_bytes(mine)) == mine).all()


def test_case_marks_and_layout_make_no_difference() -> None:
    text = " ".join(prose(8))
    one, other = signature(text), signature(text.upper().replace(".", " –\n\n"))
    assert one is not None and other is not None
    assert resemblance(one, other) == 1


def test_scripts_without_spaces_are_compared_by_their_characters() -> None:
    draw = random.Random(5)
    text = "".join(chr(0x4E00 + draw.randrange(3000)) for _ in range(400))
    one, other = signature(text), signature(text[:200] + "新" + text[200:])
    assert one is not None and other is not None
    assert resemblance(one, other) > 0.9


@pytest.mark.parametrize("text", ["", "one", "one two", " ".join(map(str, range(17))), "to be or " * 900])
def test_a_text_of_few_different_words_has_no_signature(text: str) -> None:
    assert signature(text) is None


def test_a_text_has_one_signature_however_much_of_it_is_looked_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(prose(7))
    whole = signature(text)
    monkeypatch.setattr("inference.minhash._BLOCK", 7)
    pieces = signature(text)
    assert whole is not None and pieces is not None
    assert (whole == pieces).all()


def test_one_shingle_more_is_enough() -> None:
    assert signature(" ".join(map(str, range(18)))) is not None


def test_a_long_text_takes_little_more_memory_than_itself() -> None:
    text = " ".join(map(str, range(200_000)))
    tracemalloc.start()
    try:
        signature(text)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < len(text) + 20_000_000
