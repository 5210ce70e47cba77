from __future__ import annotations

import json

import pytest

from core.errors import UnreadableDocument
from evaluation.corpus import CorpusRowParser


def parsed_blocks(**row: str) -> tuple[str, list[str]]:
    """The title and the blocks that a row of `corpus.jsonl` becomes."""
    parsed = CorpusRowParser().parse(json.dumps({"id": "d", **row}).encode(), "d.json")
    return parsed.title, [parsed.text[block.start : block.end] for block in parsed.blocks]


def test_a_row_keeps_its_paragraphs_and_whoever_wrote_it() -> None:
    row = {"title": "On  names", "text": "One\nline break.\n\n \nTwo # not a heading.", "author": "Perlis, A. J."}

    assert parsed_blocks(**row) == ("On names", ["One\nline break.", "Two # not a heading.", "Perlis, A. J."])


def test_a_title_alone_is_text() -> None:
    assert parsed_blocks(title="Only a title", text=" ") == ("Only a title", ["Only a title"])


def test_no_word_of_a_long_title_is_lost() -> None:
    long = " ".join(["word"] * 60)

    title, blocks = parsed_blocks(title=long, text="Body.")
    assert title.endswith("…")
    assert blocks == [long, "Body."]

    _, blocks = parsed_blocks(title=long, text=f"{long}. Body.")
    assert blocks == [f"{long}. Body."]


def test_a_row_without_a_word_is_refused_as_empty() -> None:
    with pytest.raises(UnreadableDocument, match="no text"):
        parsed_blocks(title="", text="")
