"""Passages without the instructions that somebody planted in them."""

from __future__ import annotations

from dataclasses import replace

import regex

from core.answers import Passage
from governance.safety.injection import planted_instruction

_PARAGRAPH = regex.compile(r"(?:[^\n]*\S[^\n]*(?:\n|$))+")


def without_instructions(passage: Passage) -> list[Passage]:
    """The runs of paragraphs of `passage` beside those that hold an instruction: the whole passage when none does.

    A payload usually follows its "ignore what came before" in the same paragraph, so the paragraph goes. When the
    instruction shows only in the whole, nothing is left.
    """
    if not planted_instruction(passage.text):
        return [passage]
    runs: list[tuple[int, int]] = []
    open_run = False
    for paragraph in _PARAGRAPH.finditer(passage.text):
        clean = not planted_instruction(paragraph.group())
        if clean and open_run:
            runs[-1] = (runs[-1][0], paragraph.end())
        elif clean:
            runs.append(paragraph.span())
        open_run = clean
    parts = [_part(passage, start, end) for start, end in runs]
    return [part for part in parts if not planted_instruction(part.text)]


def _part(passage: Passage, start: int, end: int) -> Passage:
    return replace(passage, start=passage.start + start, end=passage.start + end, text=passage.text[start:end])
