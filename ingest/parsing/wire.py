"""What passes between the service and its parser process: frames of data, read back with suspicion.

A frame is the length of a JSON header, the length of a body (both unsigned, 8 bytes, big-endian), then the header and
the body. The child may have been taken over by the document it reads, so nothing that comes back is executed,
unpickled or believed before it is checked.
"""

from __future__ import annotations

import json
import struct
from typing import Any, cast

from core.documents import Attachment, Block, BlockKind, Parsed, clean_text
from core.errors import VERDICTS, UnreadableDocument

LENGTHS = struct.Struct(">QQ")


def frame(header: dict[str, Any], body: bytes) -> tuple[bytes, bytes]:
    """One message in two pieces, so that a large `body` is not copied."""
    head = json.dumps(header).encode("ascii")
    return LENGTHS.pack(len(head), len(body)) + head, body


def parsed_frame(parsed: Parsed) -> tuple[bytes, bytes]:
    """A parsed document as a message: its text and then its attachments are the body, all else the header."""
    blocks = [[block.kind.value, block.start, block.end, block.level, block.page] for block in parsed.blocks]
    header = {
        "title": parsed.title,
        "media_type": parsed.media_type,
        "metadata": parsed.metadata,
        "blocks": blocks,
        "attachments": [[attachment.name, len(attachment.data)] for attachment in parsed.attachments],
    }
    return frame(header, b"".join((parsed.text.encode("utf-8"), *(one.data for one in parsed.attachments))))


def failure_frame(failure: UnreadableDocument) -> tuple[bytes, bytes]:
    """A refusal as a message."""
    return frame({"verdict": failure.verdict, "reason": failure.reason}, b"")


def read_reply(head: bytes, body: bytes) -> Parsed:
    """What the child answered.

    Raises `UnreadableDocument` if it answered so, and with the verdict "crash" if the answer is none that a parser
    gives: blocks that overlap or leave the text, text that is not clean, an unknown kind.
    """
    try:
        header = json.loads(head)
        if "verdict" in header:
            raise _refusal(header)
        attachments, text = _attachments(header["attachments"], body)
        return _parsed(header, text.decode("utf-8"), attachments)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise UnreadableDocument(
            "crash", f"The parser process answered nonsense ({type(error).__name__}); the document was not indexed."
        ) from error


def _refusal(header: dict[str, Any]) -> UnreadableDocument:
    verdict, reason = header["verdict"], header["reason"]
    if verdict not in VERDICTS or not isinstance(reason, str):
        raise ValueError("not a verdict")
    return UnreadableDocument(verdict, clean_text(reason[:1_000]))


def _attachments(fields: list[list[Any]], body: bytes) -> tuple[tuple[Attachment, ...], bytes]:
    """The attachments at the end of a body, and what stands before them."""
    start = len(body) - sum(size for _, size in fields)
    text, at, attachments = body[:start], start, []
    for name, size in fields:
        if type(size) is not int or not 0 <= size <= len(body) - at or start < 0:
            raise ValueError("not the size of an attachment")
        # What is named here becomes a document's place, so it must not lead anywhere else.
        if name != clean_text(name) or any(step in ("", ".", "..") for step in name.split("/")):
            raise ValueError("not a name")
        attachments.append(Attachment(name, body[at : at + size]))
        at += size
    if len({attachment.name for attachment in attachments}) < len(attachments):
        raise ValueError("a name stands for two attachments")
    return tuple(attachments), text


def _parsed(header: dict[str, Any], text: str, attachments: tuple[Attachment, ...]) -> Parsed:
    blocks = tuple(_block(*fields) for fields in header["blocks"])
    edges = [edge for block in blocks for edge in (block.start, block.end)]
    ascending = all(block.start < block.end for block in blocks) and edges == sorted(edges)
    title, media_type, metadata = header["title"], header["media_type"], header["metadata"]
    words = [title, media_type, *metadata, *metadata.values()]
    if not blocks or not ascending or edges[-1] > len(text) or not all(isinstance(word, str) for word in words):
        raise ValueError("not a parsed document")
    if text != clean_text(text) or title != clean_text(title):
        raise ValueError("text is not clean")
    return Parsed(text, blocks, title, media_type, metadata, attachments)


def _block(kind: str, start: object, end: object, level: object, page: object) -> Block:
    if type(start) is not int or type(end) is not int or start < 0:
        raise TypeError("not an offset")
    if not all(number is None or (type(number) is int and number > 0) for number in (level, page)):
        raise TypeError("not a level or a page")
    return Block(BlockKind(kind), start, end, cast("int | None", level), cast("int | None", page))
