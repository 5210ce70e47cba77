"""Plain text: paragraphs between empty lines, kept as written."""

from __future__ import annotations

import re

from core.documents import BlockKind, Parsed
from ingest.parsing.assembly import TITLE_CHARACTERS, Assembly
from ingest.parsing.charsets import decode

_BETWEEN_PARAGRAPHS = re.compile(r"\n[ \t\f\v]*\n\s*|\f")
_SENTENCE_ENDS = (".", "!", "?", ":", ";", ",", "。", "！", "？")


def parse_plain_text(data: bytes) -> Parsed:
    """One block for each paragraph; the title is a first paragraph of one short line that is no sentence.

    Raises `UnreadableDocument("empty")`.
    """
    text = decode(data).replace("\r\n", "\n").replace("\r", "\n")
    assembly = Assembly()
    paragraphs = [paragraph for paragraph in _BETWEEN_PARAGRAPHS.split(text) if not paragraph.isspace()]
    for paragraph in paragraphs:
        assembly.add(BlockKind.PARAGRAPH, "\n".join(line.rstrip() for line in paragraph.split("\n")))
    return assembly.parsed("text/plain", title=_title(paragraphs))


def _title(paragraphs: list[str]) -> str:
    lines = [paragraph.strip() for paragraph in paragraphs if paragraph]
    if len(lines) < 2 or "\n" in lines[0] or len(lines[0]) > TITLE_CHARACTERS or lines[0].endswith(_SENTENCE_ENDS):
        return ""
    return lines[0]
