"""Outlook messages (.msg, [MS-OXMSG]): read as the e-mail that they are, so that both kinds come out alike."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.encoders import encode_base64
from email.header import Header
from email.message import Message
from email.mime.base import MIMEBase
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr
from typing import Any

import olefile

from core.documents import Parsed, clean_text
from core.errors import UnreadableDocument
from ingest.parsing.charsets import decode
from ingest.parsing.containers import DEPTH, Budget
from ingest.parsing.damage import sign_of
from ingest.parsing.detection import MSG
from ingest.parsing.limits import MIB, Limits
from ingest.parsing.mail import read_message
from ingest.parsing.rtf import parse_rtf

# Property ids of [MS-OXPROPS]; the type follows in the name of a stream.
_SUBJECT, _CLASS, _BODY, _HTML, _RTF, _HEADERS = "0037", "001A", "1000", "1013", "1009", "007D"
_SENDER_NAME, _SENDER_ADDRESS, _SENDER_SMTP = "0C1A", "0C1F", "5D01"
_NAME, _ADDRESS, _SMTP = "3001", "3003", "39FE"
_DATA, _LONG_FILE_NAME, _FILE_NAME, _MIME_TYPE, _CONTENT_ID = "3701", "3707", "3704", "370E", "3712"
_SUBMITTED, _DELIVERED, _RECIPIENT_TYPE, _CODE_PAGE, _INTERNET_CODE_PAGE = 0x0039, 0x0E06, 0x0C15, 0x3FFD, 0x3FDE
_HIDDEN = 0x7FFE
_UNICODE, _STRING, _BINARY, _OBJECT = "001F", "001E", "0102", "000D"
_KINDS_OF_RECIPIENTS = {1: "To", 2: "Cc"}
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
# Where entries begin in a stream of properties: in a message, in one within it, in a recipient or an attachment.
_HEAD_BYTES, _INNER_HEAD_BYTES, _PART_HEAD_BYTES = 32, 24, 8
_ENTRY = struct.Struct("<HHI8s")
_DAMAGE = (OSError, ValueError, struct.error, IndexError, KeyError, TypeError, AttributeError)

# What the dictionary of compressed RTF holds at first ([MS-OXRTFCP] 2.1.2.1), and how long it is.
_DICTIONARY = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor "
    b"MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par "
    b"\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)
_DICTIONARY_BYTES = 4096
_COMPRESSED, _UNCOMPRESSED = b"LZFu", b"MELA"


def parse_msg(data: bytes, budget: Budget | None = None) -> Parsed:
    """As `parse_mail` reads the same message: subject, correspondents, date, body, attachments.

    A message attached to it is an attachment `NAME.eml`. Raises `UnreadableDocument`: "malformed", "encrypted", and
    what `parse_mail` raises.
    """
    budget = budget or Budget()
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as container:
            message = _message(_Storage(container, ()), _HEAD_BYTES, DEPTH)
    except _DAMAGE as error:
        raise UnreadableDocument(
            "malformed", f"The Outlook message is damaged ({sign_of(error)}); save it again in Outlook."
        ) from error
    return read_message(message, MSG, budget)


@dataclass(frozen=True)
class _Storage:
    """A folder of an OLE container that holds one message, recipient or attachment."""

    container: Any
    path: tuple[str, ...]

    def within(self, name: str) -> _Storage:
        return _Storage(self.container, (*self.path, name))

    def folders(self, start: str) -> list[str]:
        """The folders in this one whose names begin so, in order."""
        place = len(self.path)
        listed = self.container.listdir(streams=False, storages=True)
        names = {path[place] for path in listed if len(path) == place + 1 and tuple(path[:place]) == self.path}
        return sorted(name for name in names if name.startswith(start))

    def stream(self, name: str) -> bytes:
        path = [*self.path, name]
        if not self.container.exists(path) or self.container.get_size(path) > Limits.input_bytes:
            return b""
        content = self.container.openstream(path).read()
        return content if isinstance(content, bytes) else b""

    def binary(self, property_: str) -> bytes:
        return self.stream(f"__substg1.0_{property_}{_BINARY}")

    def text(self, property_: str, code_page: str) -> str:
        wide = self.stream(f"__substg1.0_{property_}{_UNICODE}")
        if wide:
            return wide[: len(wide) // 2 * 2].decode("utf-16-le", "replace").rstrip("\x00")
        return decode(self.stream(f"__substg1.0_{property_}{_STRING}"), code_page).rstrip("\x00\ufffd")

    def numbers(self, head_bytes: int) -> dict[int, int]:
        """The properties of fixed length, by their ids."""
        entries = self.stream("__properties_version1.0")[head_bytes:]
        whole = entries[: len(entries) // _ENTRY.size * _ENTRY.size]
        return {id_: int.from_bytes(value, "little") for _, id_, _, value in _ENTRY.iter_unpack(whole)}


def _message(storage: _Storage, head_bytes: int, deep: int) -> MIMEMultipart:
    numbers = storage.numbers(head_bytes)
    code_page = _code_page(numbers)
    if storage.text(_CLASS, code_page).upper() == "IPM.NOTE.SMIME":
        raise UnreadableDocument("encrypted", "The message is encrypted; save it decrypted from a mail program.")
    message = MIMEMultipart("mixed")
    _add_header(message, "Subject", storage.text(_SUBJECT, code_page))
    address = storage.text(_SENDER_SMTP, code_page) or storage.text(_SENDER_ADDRESS, code_page)
    _add_header(message, "From", _person(storage.text(_SENDER_NAME, code_page), address))
    recipients = [_recipient(storage.within(name), code_page) for name in storage.folders("__recip_version1.0")]
    for kind in _KINDS_OF_RECIPIENTS.values():
        _add_header(message, kind, ", ".join(person for of, person in recipients if of == kind))
    sent = numbers.get(_SUBMITTED) or numbers.get(_DELIVERED)
    if sent:
        _add_header(message, "Date", _date(sent))
    html_page = _code_page({_CODE_PAGE: numbers[_INTERNET_CODE_PAGE]}) if _INTERNET_CODE_PAGE in numbers else ""
    html = decode(storage.binary(_HTML), html_page) or storage.text(_HTML, code_page)
    message.attach(_body(storage, code_page, html))
    for name in storage.folders("__attach_version1.0"):
        for part in _attachment(storage.within(name), code_page, html, deep):
            message.attach(part)
    return message


def _code_page(numbers: dict[int, int]) -> str:
    number = (numbers.get(_CODE_PAGE) or numbers.get(_INTERNET_CODE_PAGE) or 1252) & 0xFFFFFFFF
    return {65001: "utf-8", 20127: "ascii", 28591: "latin-1"}.get(number, f"cp{number}")


def _recipient(storage: _Storage, code_page: str) -> tuple[str, str]:
    """`To` or `Cc` and who it is; nothing for whom the others do not see."""
    address = storage.text(_SMTP, code_page) or storage.text(_ADDRESS, code_page)
    kind = storage.numbers(_PART_HEAD_BYTES).get(_RECIPIENT_TYPE, 1) & 0xF
    return _KINDS_OF_RECIPIENTS.get(kind, ""), _person(storage.text(_NAME, code_page), address)


def _person(name: str, address: str) -> str:
    name, address = (" ".join(text.split()) for text in (name, address))
    # An address of Exchange's own directory says nothing to anybody outside.
    if "@" not in address or address == name:
        return name or address
    try:
        return formataddr((name, address))
    except UnicodeError:
        return f"{name} <{address}>"


def _date(filetime: int) -> str:
    try:
        return format_datetime(_EPOCH + timedelta(microseconds=filetime // 10))
    except OverflowError:
        return ""


def _add_header(message: Message, name: str, value: str) -> None:
    value = " ".join(clean_text(value).split())
    if value:
        message[name] = value if value.isascii() else Header(value, "utf-8", maxlinelen=10_000).encode()


def _body(storage: _Storage, code_page: str, html: str) -> Message:
    """The body as plain text where the message has it, else in HTML, else out of its RTF."""
    plain = storage.text(_BODY, code_page)
    if plain.strip():
        return MIMEText(clean_text(plain), "plain", "utf-8")
    if html.strip():
        return MIMEText(clean_text(html), "html", "utf-8")
    rtf = uncompressed_rtf(storage.binary(_RTF))
    try:
        text = parse_rtf(rtf).text if rtf else ""
    except UnreadableDocument:
        text = ""
    return MIMEText(text, "plain", "utf-8")


def _attachment(storage: _Storage, code_page: str, html: str, deep: int) -> Iterator[Message]:
    name = storage.text(_LONG_FILE_NAME, code_page) or storage.text(_FILE_NAME, code_page)
    name = name or storage.text(_NAME, code_page)
    inner = f"__substg1.0_{_DATA}{_OBJECT}"
    if storage.folders(inner):
        if deep > 1:
            part = MIMEMessage(_message(storage.within(inner), _INNER_HEAD_BYTES, deep - 1))
            yield part
        return
    data = storage.binary(_DATA)
    if not data:
        return
    main, _, sub = storage.text(_MIME_TYPE, code_page).strip().lower().partition("/")
    is_known = main.isalnum() and sub.isascii() and sub and not {*sub} & set(' ;\r\n\t"') and main != "multipart"
    part_ = MIMEBase(main, sub) if is_known and main != "message" else MIMEBase("application", "octet-stream")
    part_.set_payload(data)
    encode_base64(part_)
    content_id = storage.text(_CONTENT_ID, code_page).strip()
    is_embedded = content_id and (f"cid:{content_id}" in html or storage.numbers(_PART_HEAD_BYTES).get(_HIDDEN))
    if is_embedded:
        _add_header(part_, "Content-ID", f"<{content_id}>")
    else:
        part_.add_header("Content-Disposition", "attachment", filename=("utf-8", "", clean_text(name)))
    yield part_


def uncompressed_rtf(data: bytes) -> bytes:
    """The RTF of a message ([MS-OXRTFCP] 2.2.3), as far as it can be had; at most what its header says."""
    if len(data) < 16:
        return b""
    _, size, kind = struct.unpack_from("<II4s", data)
    size = min(size, 50 * MIB)
    if kind == _UNCOMPRESSED:
        return data[16 : 16 + size]
    if kind != _COMPRESSED:
        return b""
    window = bytearray(_DICTIONARY.ljust(_DICTIONARY_BYTES, b"\x00"))
    write, at = len(_DICTIONARY), 16
    output = bytearray()
    while at < len(data) and len(output) < size:
        control, at = data[at], at + 1
        for bit in range(8):
            if control >> bit & 1:
                pair = int.from_bytes(data[at : at + 2], "big")
                at += 2
                place, length = pair >> 4, (pair & 0xF) + 2
                if at > len(data) or place == write:
                    return bytes(output)
                piece = bytearray()
                for step in range(length):
                    byte = window[(place + step) % _DICTIONARY_BYTES]
                    window[(write + step) % _DICTIONARY_BYTES] = byte
                    piece.append(byte)
            else:
                piece = bytearray(data[at : at + 1])
                at += 1
                window[write : write + len(piece)] = piece
            write = (write + len(piece)) % _DICTIONARY_BYTES
            output += piece
    return bytes(output[:size])
