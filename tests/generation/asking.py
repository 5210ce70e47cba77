"""Passages, questions and an encoder that the generation tests share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from core.answers import Answer, Hit, Passage
from core.principals import Principal
from generation.compose import compose
from generation.extractive import ExtractiveAnswerer
from inference.encoder import Encoder
from inference.minilm import load_default_encoder

ANA = Principal("local", "ana")


@cache
def encoder() -> Encoder:
    return load_default_encoder(threads=1)


def passage(text: str, document: str = "d1", start: int = 0, title: str = "", language: str = "en") -> Passage:
    return Passage(
        row=0,
        chunk_id=f"{document}:{start}",
        document_id=document,
        version=1,
        source="handbook",
        external_id=f"{document}.md",
        uri=f"file:///{document}.md",
        title=title,
        heading=(),
        page=None,
        start=start,
        end=start + len(text),
        text=text,
        language=language,
    )


def ask(question: str, passages: Sequence[Passage]) -> Answer:
    hits = [Hit(rank, 1 / rank, one) for rank, one in enumerate(passages, start=1)]
    return compose(question, ANA, hits, ExtractiveAnswerer(encoder()), encoder())
