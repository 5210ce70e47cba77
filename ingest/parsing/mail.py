"""E-mail messages (RFC 5322, MIME): what a mail client shows, and what is attached as documents of their own."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from typing import TypeAlias

from selectolax.lexbor import LexborHTMLParser

from core.documents import Attachment, BlockKind, Parsed, clean_text
from core.errors import UnreadableDocument
from ingest.parsing.assembly import Assembly
from ingest.parsing.charsets import decode
from ingest.parsing.containers import Budget
from ingest.parsing.detection import EML
from ingest.parsing.html import add_html
from ingest.parsing.member_names import safe_name, unused

_Part: TypeAlias = "Message[str, str]"

_SHOWN_HEADERS = ("From", "To", "Cc", "Date")
_TEXTS = ("text/plain", "text/html")
_LOCKED = ("multipart/encrypted", "application/pgp-encrypted")
_ENVELOPES = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_SIGNATURES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")
_PARAGRAPHS = re.compile(r"\n[ \t>]*\n\s*")


def parse_mail(data: bytes, budget: Budget | None = None) -> Parsed:
    """The subject as a heading, who wrote to whom and when, and the body.

    Of alternatives the plain text is read, the HTML where that is missing or blank (RFC 2046, 5.1.4: they say the
    same). Pictures that the body embeds and signatures are no attachments; a message within the message is one.
    Raises `UnreadableDocument`: "encrypted", "hostile" for more parts than the budget has left, "empty" for a message
    without text whose attachments are none either.
    """
    return read_message(message_from_bytes(_in_bytes(data)), EML, budget or Budget())


def read_message(message: _Part, media_type: str, budget: Budget) -> Parsed:
    """A message as `parse_mail` reads it, whatever it was kept in."""
    _refuse_locked(message)
    parts = _Parts(budget)
    parts.sort(message)
    assembly = Assembly()
    subject = header_text(message, "Subject")
    assembly.add(BlockKind.HEADING, subject, level=1)
    headers = ((name, header_text(message, name)) for name in _SHOWN_HEADERS)
    assembly.add(BlockKind.PARAGRAPH, "\n".join(f"{name}: {value}" for name, value in headers if value))
    heads = len(assembly.blocks)
    for part in parts.shown:
        _add_body(assembly, part)
    if len(assembly.blocks) == heads and not parts.attached and not subject:
        raise UnreadableDocument("empty", "The message holds no text; there is nothing to index.")
    parsed = assembly.parsed(media_type, title=subject)
    attachments = tuple(_attachments(parts.attached))
    return replace(parsed, attachments=attachments)


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

    budget: Budget
    shown: list[_Part] = field(default_factory=list)
    attached: list[_Part] = field(default_factory=list)

    def sort(self, part: _Part) -> None:
        self.budget.enter()
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


def header_text(message: _Part, name: str) -> str:
    """A header on one line with its encoded words decoded (RFC 2047), as written where they are broken."""
    value = message.get(name, "")
    return " ".join(_decoded(str(value)).split())


_HEADER_CHARACTERS = 20_000


def _decoded(value: str) -> str:
    try:
        # Decoding takes the square of the number of encoded words.
        return str(make_header(decode_header(value[:_HEADER_CHARACTERS])))
    except (LookupError, ValueError, HeaderParseError):
        return clean_text(value)


def _attachments(parts: list[_Part]) -> Iterator[Attachment]:
    """Each part as a document, every name once."""
    taken: set[str] = set()
    for part in parts:
        inner = part.get_payload(0) if part.get_content_type() == "message/rfc822" and part.is_multipart() else None
        data = inner.as_bytes() if isinstance(inner, Message) else part.get_payload(decode=True)
        if isinstance(data, bytes) and data.strip():
            yield Attachment(unused(_name(part, inner if isinstance(inner, Message) else None), taken), data)


def _name(part: _Part, inner: _Part | None) -> str:
    """The file name a client would offer: the part's own, else the subject of a message, else a kind's usual one."""
    given = _decoded(part.get_filename() or "")
    if inner is None:
        otherwise = f"attachment{mimetypes.guess_extension(part.get_content_type()) or ''}"
        return safe_name(given or otherwise, otherwise)
    name = safe_name(given or header_text(inner, "Subject"), "message")
    return name if name.lower().endswith(".eml") else f"{name}.eml"
