"""A document's text, its blocks, and the chunks we index."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum

from core.errors import UnreadableDocument


class BlockKind(StrEnum):
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    TABLE = "table"
    CODE = "code"
    IMAGE_TEXT = "image_text"


@dataclass(frozen=True)
class Block:
    """One run of a document's text: `text[start:end]`, in code points.

    `level` is 1 to 6 for a heading, else None; `page` counts from 1 where the format has pages.
    """

    kind: BlockKind
    start: int
    end: int
    level: int | None = None
    page: int | None = None


@dataclass(frozen=True)
class Link:
    """What a document calls another one: `text[start:end]` leads to `target`, as the document writes it."""

    start: int
    end: int
    target: str


@dataclass(frozen=True)
class Attachment:
    """A document that another carries within it; `name` is its path there, each part of it a file name.

    `refusal` says why its bytes, which are none then, could not be had.
    """

    name: str
    data: bytes = field(repr=False)
    refusal: UnreadableDocument | None = None

    def load(self) -> bytes:
        """Its bytes; raises its refusal."""
        if self.refusal is not None:
            raise self.refusal
        return self.data


@dataclass(frozen=True)
class Parsed:
    """What a parser makes of a source's bytes.

    `text` is clean (see `clean_text`); `blocks` are in reading order, do not overlap and are never empty.
    `links` are in the order of the text, and do not overlap. `attachments` are documents of their own, each name
    once. `unread` says, to the document's owner, what of it could not be read and why; it is empty where all of it was.
    """

    text: str
    blocks: tuple[Block, ...]
    title: str
    media_type: str
    metadata: dict[str, str] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    unread: str = ""
    links: tuple[Link, ...] = ()


@dataclass(frozen=True)
class Chunk:
    """What we index: `text[start:end]` of one version of a document, and what stands above it.

    `heading` is the path of headings from the outermost in; `header` is the first row of the table that the chunk
    continues, else empty. Both are embedded with the chunk; neither is part of its span.
    """

    ordinal: int
    start: int
    end: int
    heading: tuple[str, ...]
    page: int | None
    header: str = ""


def embedding_text(title: str, chunk: Chunk, text: str) -> str:
    """What the encoder and the lexical index read for a chunk of `text`: title, headings, table header, span."""
    return span_with_context(title, chunk, text[chunk.start : chunk.end])


def span_with_context(title: str, chunk: Chunk, span: str) -> str:
    """`embedding_text` for one who holds no more of the text than the chunk's span."""
    path = chunk.heading if chunk.heading[:1] == (title,) else (title, *chunk.heading)
    above = " > ".join(part for part in path if part)
    return "\n".join(part for part in (above, chunk.header, span) if part)


def content_hash(data: bytes | str) -> str:
    """SHA-256, in hexadecimal, of bytes or of a text's UTF-8."""
    return hashlib.sha256(data.encode("utf-8") if isinstance(data, str) else data).hexdigest()


def clean_text(text: str) -> str:
    """The form in which text is stored: NFC, lone surrogates as U+FFFD, no U+0000, lines ending in U+000A.

    Offsets then mean the same in Python, SQLite and PostgreSQL, which stores no U+0000.
    """
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}").replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", text)
