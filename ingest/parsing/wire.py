"""What passes between the service and its parser process: frames of data, read back with suspicion.

A frame is the length of a JSON header, the length of a body (both unsigned, 8 bytes, big-endian), then the header and
the body. The child may have been taken over by the document it reads, so nothing that comes back is executed,
unpickled or believed before it is checked.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from core.documents import Attachment, Block, BlockKind, Link, Parsed, clean_text
from core.errors import VERDICTS, UnreadableDocument
from core.places import LONGEST

LENGTHS = struct.Struct(">QQ")
BLOCK = struct.Struct(">BIIBI")
"""A block: its kind's place in `_KINDS`, start, end, level and page, nought for none."""
TOKEN_BYTES = 16
"""Before a document's frame stands a token that nobody can guess, and before that of its reply the same one again."""
MORE_TIME = LENGTHS.pack(0, 0)
"""In place of a reply's lengths, none of which are nought: the parser begins another picture of text."""
_REASON_CHARACTERS = 1_000
_KINDS = tuple(BlockKind)
# Two for each attachment there may be, and some: each takes a hundred times the memory of what says that it is there.
_LISTS = 50_000


def frame(header: dict[str, Any], body: bytes) -> tuple[bytes, bytes]:
    """One message in two pieces, so that a large `body` is not copied."""
    head = json.dumps(header).encode("ascii")
    return LENGTHS.pack(len(head), len(body)) + head, body


def parsed_frame(parsed: Parsed) -> tuple[bytes, bytes]:
    """A parsed document as a message: its blocks, its text and its attachments are the body, all else the header."""
    blocks = b"".join(
        BLOCK.pack(_KINDS.index(block.kind), block.start, block.end, block.level or 0, block.page or 0)
        for block in parsed.blocks
    )
    header = {
        "title": parsed.title,
        "media_type": parsed.media_type,
        "metadata": parsed.metadata,
        "unread": parsed.unread,
        "blocks": len(parsed.blocks),
        "links": [field for link in parsed.links for field in (link.start, link.end, link.target)],
        "attachments": [_attachment_fields(attachment) for attachment in parsed.attachments],
    }
    return frame(header, b"".join((blocks, parsed.text.encode("utf-8"), *(one.data for one in parsed.attachments))))


def _attachment_fields(attachment: Attachment) -> list[Any]:
    refusal = attachment.refusal
    return [attachment.name, len(attachment.data), *((refusal.verdict, refusal.reason) if refusal else ())]


def failure_frame(failure: UnreadableDocument) -> tuple[bytes, bytes]:
    """A refusal as a message."""
    return frame({"verdict": failure.verdict, "reason": failure.reason}, b"")


def read_reply(head: bytes | bytearray, body: bytes | bytearray) -> Parsed:
    """What the child answered.

    Raises `UnreadableDocument` if it answered so, and with the verdict "crash" if the answer is none that a parser
    gives: blocks that overlap or leave the text, text that is not clean, an unknown kind.
    """
    try:
        if sum(map(head.count, (b"[", b"{"))) > _LISTS:
            raise ValueError("more structure than an answer has")
        header = json.loads(head)
        if "verdict" in header:
            raise _refusal(header["verdict"], header["reason"])
        # Views: a long answer is not copied more often than it has to be.
        attachments, rest = _attachments(header["attachments"], memoryview(body))
        blocks, text = _blocks(header["blocks"], rest)
        return _parsed(header, blocks, str(text, "utf-8"), attachments)
    except (ValueError, KeyError, struct.error, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise UnreadableDocument(
            "crash", f"The parser process answered nonsense ({type(error).__name__}); the document was not indexed."
        ) from error


def _refusal(verdict: Any, reason: Any) -> UnreadableDocument:
    if verdict not in VERDICTS or not isinstance(reason, str):
        raise ValueError("not a verdict")
    return UnreadableDocument(verdict, clean_text(reason[:_REASON_CHARACTERS]))


def _attachments(fields: list[list[Any]], body: memoryview) -> tuple[tuple[Attachment, ...], memoryview]:
    """The attachments at the end of a body, and what stands before them."""
    start = len(body) - sum(size for _, size, *_ in fields)
    text, at, attachments = body[:start], start, []
    for name, size, *refused in fields:
        if type(size) is not int or not 0 <= size <= len(body) - at or start < 0:
            raise ValueError("not the size of an attachment")
        # What is named here becomes a document's place, so it must not lead anywhere else.
        if name != clean_text(name) or any(step in ("", ".", "..") for step in name.split("/")):
            raise ValueError("not a name")
        attachments.append(Attachment(name, bytes(body[at : at + size]), _refusal(*refused) if refused else None))
        at += size
    if len({attachment.name for attachment in attachments}) < len(attachments):
        raise ValueError("a name stands for two attachments")
    return tuple(attachments), text


def _blocks(count: Any, rest: memoryview) -> tuple[tuple[Block, ...], memoryview]:
    """The blocks at the beginning of a body, and what stands after them."""
    if type(count) is not int or not 0 < count <= len(rest) // BLOCK.size:
        raise ValueError("not a number of blocks")
    packed = rest[: count * BLOCK.size]
    blocks = tuple(
        Block(_KINDS[kind], start, end, level or None, page or None)
        for kind, start, end, level, page in BLOCK.iter_unpack(packed)
    )
    return blocks, rest[len(packed) :]


def _parsed(
    header: dict[str, Any], blocks: tuple[Block, ...], text: str, attachments: tuple[Attachment, ...]
) -> Parsed:
    edges = [edge for block in blocks for edge in (block.start, block.end)]
    ascending = all(block.start < block.end for block in blocks) and edges == sorted(edges)
    title, media_type, metadata = header["title"], header["media_type"], header["metadata"]
    unread = clean_text(header["unread"][:_REASON_CHARACTERS])
    words = [title, media_type, *metadata, *metadata.values()]
    if not ascending or edges[-1] > len(text) or not all(isinstance(word, str) for word in words):
        raise ValueError("not a parsed document")
    if text != clean_text(text) or title != clean_text(title):
        raise ValueError("text is not clean")
    metadata = {clean_text(name): clean_text(value) for name, value in metadata.items()}
    return Parsed(text, blocks, title, media_type, metadata, attachments, unread, _links(header["links"], len(text)))


def _links(fields: list[Any], length: int) -> tuple[Link, ...]:
    links = tuple(Link(*fields[at : at + 3]) for at in range(0, len(fields), 3))
    if not all(type(one.start) is type(one.end) is int and isinstance(one.target, str) for one in links):
        raise ValueError("not a link")
    edges = [edge for one in links for edge in (one.start, one.end)]
    ascending = all(one.start < one.end for one in links) and edges == sorted(edges)
    if edges and not (ascending and edges[0] >= 0 and edges[-1] <= length):
        raise ValueError("a link leaves the text")
    if any(len(one.target) > LONGEST or one.target != clean_text(one.target) for one in links):
        raise ValueError("not a target")
    return links
