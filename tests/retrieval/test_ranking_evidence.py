"""What a question names exactly comes first, a slip of the pen is forgiven, and a language has its own rare words."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from indexed import ENCODER, publish, ranker, row_of, text_of, writer
from pyroaring import BitMap

from retrieval.analysis import identifiers, query_terms
from retrieval.index import IndexRow
from retrieval.lexical import bm25
from retrieval.ranking import Ranker

LETTERS = st.text("ABCDEFGHKLMNPRSTUVWXYZ", min_size=2, max_size=5)
DIGITS = st.text("0123456789", min_size=3, max_size=6)
IDENTIFIER = st.one_of(
    st.tuples(LETTERS, st.sampled_from(["-", "_", ":", "/", "", " "]), DIGITS).map("".join),  # INC-2041, INC 2041
    st.tuples(LETTERS, st.just("_"), LETTERS, st.just("_"), DIGITS).map("".join),  # ERR_CONN_1042
    st.tuples(LETTERS, st.just("-"), DIGITS, st.just("-"), LETTERS).map("".join),  # AB-4711-XK
    st.tuples(st.just("v"), DIGITS, st.just("."), DIGITS, st.just("."), DIGITS).map("".join),  # v104.220.331
    st.text("0123456789abcdef", min_size=8, max_size=12).filter(lambda s: any(map(str.isdigit, s))),  # a3f9c2d1
)


def indexed_texts(folder: Path, texts: dict[int, tuple[str, str]]) -> Ranker:
    """An index of texts, each in its language."""
    rows = [IndexRow(row, ENCODER.encode_query(text), text, code, 0) for row, (text, code) in texts.items()]
    writer(folder).publish(rows)
    return ranker(folder)


def rank(found: Ranker, query: str, k: int) -> list[int]:
    """The best k rows of everything."""
    everything = found.reader.snapshot().rows()
    return [row for row, _ in found.rank(query, found.embed(query), everything, k).hits]


@given(identifier=IDENTIFIER, near=st.integers(0, 99))
@example("0000001a", 0)
@example("482913af", 0)
@settings(max_examples=60, deadline=None)
def test_an_identifier_is_found_before_everything_that_reads_like_the_question(identifier: str, near: int) -> None:
    """Twenty chunks say word for word what is asked, about another thing; one long chunk mentions the identifier."""
    question = f"travel invoice contract of {identifier}"
    with tempfile.TemporaryDirectory() as folder:
        other = {row: (f"travel invoice contract of QZ-{10 + row}", "en") for row in range(20)}
        among = " ".join(text_of(row) for row in range(near, near + 30))
        hits = rank(indexed_texts(Path(folder), other | {50: (f"{among} {identifier} {among}", "en")}), question, 21)

    assert hits[0] == 50


@pytest.mark.parametrize("asked", ["INC-2041", "INC 2041", "INC_2041", "INC2041", "inc-2041", "inc2041"])
@pytest.mark.parametrize("written", ["INC-2041", "INC 2041", "INC_2041", "INC2041", "inc-2041"])
def test_an_identifier_is_the_same_however_it_is_joined(asked: str, written: str, tmp_path: Path) -> None:
    texts = {row: (f"incident INC-{row} of 2041 and inc {row}", "en") for row in range(100, 120)}
    found = indexed_texts(tmp_path, texts | {7: (f"the report on {written} is closed", "en")})
    assert rank(found, f"incident {asked}", 3)[0] == 7


def test_what_no_one_means_by_one_thing_is_no_identifier() -> None:
    assert identifiers("the 19th of June 2022 in the 1990s, 100km at 9/11 for 24 hours, state-of-the-art") == []
    assert identifiers("12000kg, 06h, 0a, 19th and 12GB") == []
    assert identifiers("see 1.2.3 and 1.23") == ["w1.2.3"]


def test_a_name_with_a_number_that_many_chunks_hold_decides_nothing(tmp_path: Path) -> None:
    texts = {row: (f"COVID-19 alpha {text_of(row)}", "en") for row in range(30)}
    found = indexed_texts(tmp_path, texts | {90: ("visitors and masks", "en")})
    assert rank(found, "visitors masks COVID-19", 5)[0] == 90


@pytest.mark.parametrize("slip", ["emploee", "employeee", "emplpyee", "emlpoyee", "amployee"])
def test_a_word_with_one_slip_is_found(slip: str, tmp_path: Path) -> None:
    texts = dict.fromkeys(range(10), ("alpha beta", "en")) | {50: ("gamma delta employee", "en")}
    found = indexed_texts(tmp_path, texts)
    selection = found.reader.snapshot().select(BitMap(texts))

    assert rank(found, f"{slip}", 11)[0] == 50
    assert len(bm25(selection, query_terms(slip, "en")).best(10)[0]) == 0


@pytest.mark.parametrize("word", ["giraffe", "betta", "INC-2041"])
def test_a_word_that_is_not_misspelt_is_not_corrected(word: str, tmp_path: Path) -> None:
    """A known word stays itself, a short one has too many neighbours, and nobody misspells a number."""
    texts = {1: ("beta", "en"), 2: ("giraffes", "en"), 3: ("giraffe", "en"), 4: ("INC-2042", "en")}
    found = indexed_texts(tmp_path, texts)
    ranked = found.rank(word, ENCODER.encode_query("unrelated"), BitMap(texts), 4)
    expected = {"giraffe": {3, 2}, "betta": set(), "INC-2041": {4}}[word]  # `INC` is in both
    lexical = {row for row, score in ranked.hits if score > max(s for r, s in ranked.hits if r not in expected)}
    assert lexical == expected


@given(
    own=st.sets(st.integers(0, 99), min_size=1),
    query=st.sampled_from(["contrct emploee", "INC-2041", "travl INC-2041", "gehört der contrat"]),
)
@settings(max_examples=20, deadline=None)
def test_neither_corrections_nor_names_nor_languages_depend_on_what_is_hidden(own: set[int], query: str) -> None:
    """Hidden are the misspelt word itself, a likelier correction, the identifier, and a crowd in another language."""
    hidden = ["contrct emploee", *["contrat employed"] * 30, *["INC-2041 travl"] * 25, "gehört der Vertrag"]
    with tempfile.TemporaryDirectory() as alone, tempfile.TemporaryDirectory() as among:
        publish(Path(alone), own)
        rows = [row_of(200 + number, text) for number, text in enumerate(hidden)]
        writer(Path(among)).publish(
            IndexRow(one.row, one.vector, one.text, "de" if one.row % 2 else "en", 0) for one in rows
        )
        publish(Path(among), own)

        expected = ranker(Path(alone)).rank(query, ENCODER.encode_query(query), BitMap(own), 50)
        found = ranker(Path(among)).rank(query, ENCODER.encode_query(query), BitMap(own), 50)
    assert found.hits == expected.hits


def test_a_common_word_of_a_small_language_is_common_in_it(tmp_path: Path) -> None:
    """`ist` is rare among the hundred English chunks and says nothing in the ten German ones."""
    texts = {row: (text_of(row), "en") for row in range(100)}
    texts |= {200 + row: ("das ist so", "de") for row in range(9)} | {300: ("die Kündigung", "de")}
    snapshot = indexed_texts(tmp_path, texts).reader.snapshot()
    selection = snapshot.select(snapshot.rows())
    terms = [("fist", 1.0), ("fkundigung", 1.0)]

    _, among_all = bm25(selection, terms).best(10)
    _, among_german = bm25(selection, terms, language="de").best(10)

    assert among_all[0] < 3 * among_all[-1]
    assert among_german[0] > 10 * among_german[-1]
    _, of_nobody = bm25(selection, terms, language="hu").best(10)  # guessed wrong: the rarer word still weighs more
    assert of_nobody[0] > 3 * of_nobody[-1]
