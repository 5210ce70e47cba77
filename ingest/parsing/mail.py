"""E-mail messages (RFC 5322, MIME): what a mail client shows, and what is attached as documents of their own."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from typing import TypeAlias

from selectolax.lexbor import LexborHTMLParser

from core.attachments import numbered
from core.documents import Attachment, BlockKind, Parsed, clean_text
from core.errors import UnreadableDocument
from ingest.parsing.assembly import Assembly
from ingest.parsing.charsets import decode
from ingest.parsing.detection import EML
from ingest.parsing.html import add_html

PARTS = 1_000
"""MIME parts of one message, those of messages within it included."""
DEEP = 5
"""Messages attached to messages attached to messages: the last whose attachments are read."""
_Part: TypeAlias = "Message[str, str]"

_SHOWN_HEADERS = ("From", "To", "Cc", "Date")
_TEXTS = ("text/plain", "text/html")
_LOCKED = ("multipart/encrypted", "application/pgp-encrypted")
_ENVELOPES = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_SIGNATURES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")
_PARAGRAPHS = re.compile(r"\n[ \t>]*\n\s*")
_NOT_IN_NAMES = re.compile(r"[/\\\x00-\x1f\x7f\ufffd]+")
_NAME_CHARACTERS = 120


def parse_mail(data: bytes) -> Parsed:
    """The subject as a heading, who wrote to whom and when, and the body.

    Of alternatives the plain text is read, the HTML where that is missing or blank (RFC 2046, 5.1.4: they say the
    same). Pictures that the body embeds and signatures are no attachments. Attachments of attached messages are named
    by their path, `forwarded.eml/contract.pdf`. Raises `UnreadableDocument`: "encrypted", "hostile" for more than
    `PARTS`, "empty" for a message without text whose attachments are none either.
    """
    message = message_from_bytes(_in_bytes(data))
    _refuse_locked(message)
    budget = _Budget()
    parts = _Parts(budget)
    parts.sort(message)
    assembly = Assembly()
    subject = _header(message, "Subject")
    assembly.add(BlockKind.HEADING, subject, level=1)
    headers = ((name, _header(message, name)) for name in _SHOWN_HEADERS)
    assembly.add(BlockKind.PARAGRAPH, "\n".join(f"{name}: {value}" for name, value in headers if value))
    heads = len(assembly.blocks)
    for part in parts.shown:
        _add_body(assembly, part)
    if len(assembly.blocks) == heads and not parts.attached and not subject:
        raise UnreadableDocument("empty", "The message holds no text; there is nothing to index.")
    parsed = assembly.parsed(EML, title=subject)
    attachments = tuple(_attachments(parts.attached, DEEP, budget))
    return Parsed(parsed.text, parsed.blocks, parsed.title, EML, parsed.metadata, attachments)


@dataclass
class _Budget:
    """What is left of `PARTS`, over all messages within the first."""

    parts: int = field(default_factory=lambda: PARTS)

    def spend(self, parts: int) -> None:
        self.parts -= parts
        if self.parts < 0:
            raise UnreadableDocument("hostile", f"The message has more than {PARTS:,} parts; it was not read.")


def _in_bytes(data: bytes) -> bytes:
    """A message saved as UTF-16, as some programs export it, in the ASCII that its syntax is made of."""
    is_wide = data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in data[:64]
    return decode(data).encode("utf-8") if is_wide else data


def _refuse_locked(message: _Part) -> None:
    kind = message.get_content_type()
    is_envelope = kind in _ENVELOPES and message.get_param("smime-type") != "signed-data"
    if kind in _LOCKED or is_envelope:
        raise UnreadableDocument("encrypted", "The message is encrypted; save it decrypted from a mail program.")


@dataclass
class _Parts:
    """The leaves of one message: what a client shows as its body, in order, and what it lists as attachments."""

    budget: _Budget
    shown: list[_Part] = field(default_factory=list)
    attached: list[_Part] = field(default_factory=list)

    def sort(self, part: _Part) -> None:
        self.budget.spend(1)
        kind = part.get_content_type()
        children = _children(part)
        if kind == "multipart/alternative" and children:
            self._alternative(children)
        elif kind == "multipart/related" and children:
            self.sort(children[0])
            self.attached += [child for child in children[1:] if _is_attachment(child)]
        elif children:
            for child in children:
                self.sort(child)
        elif kind in _TEXTS and not _is_attachment(part) and not part.get_filename():
            self.shown.append(part)
        elif kind not in _SIGNATURES and not _is_embedded(part):
            self.attached.append(part)

    def _alternative(self, children: list[_Part]) -> None:
        """Take the alternative that is plain text, else the richest, which is the last."""
        options = []
        for child in children:
            option = _Parts(self.budget)
            option.sort(child)
            options.append(option)
            self.attached += [part for part in option.attached if _is_attachment(part)]
        readable = [option.shown for option in options if any(_text(part).strip() for part in option.shown)]
        if not readable:
            # An invitation alone, say: what cannot be shown is at least named.
            self.attached += [part for option in options for part in option.attached if not _is_attachment(part)]
        plain = [shown for shown in readable if shown[0].get_content_type() == "text/plain"]
        self.shown += (plain or readable[::-1] or [[]])[0]


def _children(part: _Part) -> list[_Part]:
    """The parts of a multipart; none for anything else, a message within the message included."""
    payload = part.get_payload()
    is_multipart = part.get_content_maintype() == "multipart" and isinstance(payload, list)
    return [child for child in payload if isinstance(child, Message)] if is_multipart else []


def _is_attachment(part: _Part) -> bool:
    return part.get_content_disposition() == "attachment"


def _is_embedded(part: _Part) -> bool:
    """Whether a part is a picture that the body shows in its place, such as a logo."""
    return part.get_content_maintype() == "image" and not _is_attachment(part) and "Content-ID" in part


def _text(part: _Part) -> str:
    payload = part.get_payload(decode=True)
    charset = part.get_param("charset", "")
    return decode(payload, charset if isinstance(charset, str) else "") if isinstance(payload, bytes) else ""


def _add_body(assembly: Assembly, part: _Part) -> None:
    text = _text(part).replace("\r\n", "\n")
    if part.get_content_type() == "text/html":
        add_html(assembly, LexborHTMLParser(text))
        return
    for paragraph in _PARAGRAPHS.split(text):
        assembly.add(BlockKind.PARAGRAPH, paragraph)


def _header(message: _Part, name: str) -> str:
    """A header on one line with its encoded words decoded (RFC 2047), as written where they are broken."""
    value = message.get(name, "")
    return " ".join(_decoded(str(value)).split())


def _decoded(value: str) -> str:
    try:
        return str(make_header(decode_header(value)))
    except (LookupError, ValueError, HeaderParseError):
        return clean_text(value)


def _attachments(parts: list[_Part], deep: int, budget: _Budget) -> Iterator[Attachment]:
    """Each part as a document, and those attached to a message that is attached; every name once."""
    taken: set[str] = set()
    for part in parts:
        inner = part.get_payload(0) if part.get_content_type() == "message/rfc822" and part.is_multipart() else None
        data = inner.as_bytes() if isinstance(inner, Message) else part.get_payload(decode=True)
        if not isinstance(data, bytes) or not data.strip():
            continue
        name = _unused(_name(part, inner if isinstance(inner, Message) else None), taken)
        yield Attachment(name, data)
        if not isinstance(inner, Message) and name.lower().endswith(".eml"):
            inner = message_from_bytes(data)
        if isinstance(inner, Message) and deep > 1:
            within = _Parts(budget)
            within.sort(inner)
            for attachment in _attachments(within.attached, deep - 1, budget):
                yield Attachment(f"{name}/{attachment.name}", attachment.data)


def _name(part: _Part, inner: _Part | None) -> str:
    """The file name a client would offer: the part's own, else the subject of a message, else a kind's usual one."""
    suffix = mimetypes.guess_extension(part.get_content_type()) or ""
    if inner is not None:
        suffix, given = ".eml", _decoded(part.get_filename() or "") or _header(inner, "Subject") or "message"
    else:
        given = _decoded(part.get_filename() or "") or f"attachment{suffix}"
    name = " ".join(_NOT_IN_NAMES.sub(" ", clean_text(given)).split()).strip(". ") or f"attachment{suffix}"
    stem, dot, ending = name.rpartition(".")
    if inner is not None and ending.lower() != "eml":
        stem, dot, ending = name, ".", "eml"
    return f"{stem[:_NAME_CHARACTERS]}{dot}{ending[:_NAME_CHARACTERS]}"


def _unused(name: str, taken: set[str]) -> str:
    free = next(candidate for candidate in numbered(name) if candidate not in taken)
    taken.add(free)
    return free
