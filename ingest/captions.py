"""Pictures told in words: what a vision model says of a picture goes into its text, marked as a machine's words.

The model is asked by the pipeline, outside the parser process, which has no network; the picture's bytes are handed on
as they are and never decoded here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from core.documents import Block, BlockKind, Parsed, clean_text
from core.errors import ModelFailed, UnreadableDocument
from ingest.pipeline import Parser

Describe = Callable[[bytes, str], str]
"""A picture and its media type to a few words on it; raises `ModelFailed`."""

PICTURE_BYTES = 20 * 1024 * 1024
"""The largest picture that a model is asked about."""
CAPTION_CHARACTERS = 2_000
# Kinds that vision models take, by how their files begin.
_KINDS = ((b"\x89PNG\r\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))


@dataclass(frozen=True)
class CaptioningParser:
    """A parser that has pictures described as well; whatever becomes of that, none is lost by it.

    A picture in which no text was recognized is read by its description alone. One that could not be described is
    read without, and its `unread` says so.
    """

    parser: Parser
    describe: Describe
    model: str

    def parse(self, data: bytes, name: str) -> Parsed:
        """As the parser's own; raises what it raises, but for a picture without text that was described."""
        media_type = _picture_type(data)
        if media_type is None:
            return self.parser.parse(data, name)
        try:
            parsed = self.parser.parse(data, name)
        except UnreadableDocument as failure:
            if failure.verdict != "empty":
                raise
            caption, why_not = self._caption(data, media_type)
            if not caption:
                raise UnreadableDocument("empty", f"{failure.reason} {why_not}") from failure
            return Parsed(caption, (Block(BlockKind.IMAGE_TEXT, 0, len(caption)),), "", media_type)
        caption, why_not = self._caption(data, media_type)
        if not caption:
            return replace(parsed, unread=parsed.unread or why_not)
        start = len(parsed.text) + 2
        block = Block(BlockKind.IMAGE_TEXT, start, start + len(caption))
        return replace(parsed, text=f"{parsed.text}\n\n{caption}", blocks=(*parsed.blocks, block))

    def close(self) -> None:
        self.parser.close()

    def _caption(self, data: bytes, media_type: str) -> tuple[str, str]:
        """The description with its mark, and nothing; or nothing, and why there is none."""
        if len(data) > PICTURE_BYTES:
            return "", f"The picture was not described: it is larger than {PICTURE_BYTES // 1024**2} MiB."
        try:
            words = " ".join(clean_text(self.describe(data, media_type)).split())[:CAPTION_CHARACTERS]
        except ModelFailed as failure:
            return "", f"The picture was not described. {failure}"
        return f"Picture, as described by the model {self.model}: {words}", ""


def _picture_type(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _KINDS if data.startswith(start)), None)
