"""What passes between the service and its parser process: frames of data, read back with suspicion.

A frame is the length of a JSON header, the length of a body (both unsigned, 8 bytes, big-endian), then the header and
the body. The child may have been taken over by the document it reads, so nothing that comes back is executed,
unpickled or believed before it is checked.
"""

from __future__ import annotations

import json
import struct
from typing import Any, cast

from core.documents import Block, BlockKind, Parsed, clean_text
from core.errors import VERDICTS, UnreadableDocument

LENGTHS = struct.Struct(">QQ")


def frame(header: dict[str, Any], body: bytes) -> tuple[bytes, bytes]:
    """One message in two pieces, so that a large `body` is not copied."""
    head = json.dumps(header).encode("ascii")
    return LENGTHS.pack(len(head), len(body)) + head, body


def parsed_frame(parsed: Parsed) -> tuple[bytes, bytes]:
    """A parsed document as a message: its text is the body, all else the header."""
    blocks = [[block.kind.value, block.start, block.end, block.level, block.page] for block in parsed.blocks]
    header = {"title": parsed.title, "media_type": parsed.media_type, "metadata": parsed.metadata, "blocks": blocks}
    return frame(header, parsed.text.encode("utf-8"))


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
        return _parsed(header, body.decode("utf-8"))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise UnreadableDocument(
            "crash", f"The parser process answered nonsense ({type(error).__name__}); the document was not indexed."
        ) from error


def _refusal(header: dict[str, Any]) -> UnreadableDocument:
    verdict, reason = header["verdict"], header["reason"]
    if verdict not in VERDICTS or not isinstance(reason, str):
        raise ValueError("not a verdict")
    return UnreadableDocument(verdict, clean_text(reason[:1_000]))


def _parsed(header: dict[str, Any], text: str) -> Parsed:
    blocks = tuple(_block(*fields) for fields in header["blocks"])
    edges = [edge for block in blocks for edge in (block.start, block.end)]
    ascending = all(block.start < block.end for block in blocks) and edges == sorted(edges)
    title, media_type, metadata = header["title"], header["media_type"], header["metadata"]
    words = [title, media_type, *metadata, *metadata.values()]
    if not blocks or not ascending or edges[-1] > len(text) or not all(isinstance(word, str) for word in words):
        raise ValueError("not a parsed document")
    if text != clean_text(text) or title != clean_text(title):
        raise ValueError("text is not clean")
    return Parsed(text, blocks, title, media_type, metadata)


def _block(kind: str, start: object, end: object, level: object, page: object) -> Block:
    if type(start) is not int or type(end) is not int or start < 0:
        raise TypeError("not an offset")
    if not all(number is None or (type(number) is int and number > 0) for number in (level, page)):
        raise TypeError("not a level or a page")
    return Block(BlockKind(kind), start, end, cast("int | None", level), cast("int | None", page))
