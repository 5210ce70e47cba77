"""Bytes of unknown encoding to text: byte order mark, declaration, UTF-8, UTF-16 by its zeros, then statistics."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

_SAMPLE_BYTES = 64 * 1024
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NULS = re.compile("\x00+")
# C0 controls that no text holds: all but tab, line feed, vertical tab, form feed, carriage return, escape and U+0000.
_CONTROLS = bytes(set(range(1, 32)) - {9, 10, 11, 12, 13, 27}) + b"\x7f"


def decode(data: bytes, declared: str = "") -> str:
    """The text of `data`; what no encoding explains becomes U+FFFD, and so does a run of U+0000.

    `declared` is what the document itself says (an HTML `meta`); a byte order mark outranks it.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _without_nuls(data[len(mark) :].decode(encoding, "replace"))
    for encoding in filter(None, (_text_encoding(declared), _utf16_without_mark(data), "utf-8")):
        try:
            return _without_nuls(data.decode(encoding))
        except UnicodeDecodeError:
            continue
    return _without_nuls(data.decode(_guessed(data), "replace"))


def looks_like_text(data: bytes) -> bool:
    """Whether `data` is text in some encoding: it holds hardly a control character, U+0000 aside (UTF-16, padding)."""
    sample = data[:_SAMPLE_BYTES]
    if sample.startswith(tuple(mark for mark, _ in _BYTE_ORDER_MARKS)) or _utf16_without_mark(sample):
        return True
    sample = sample.replace(b"\x00", b"")
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return bool(sample) and controls <= len(sample) // 100


def _without_nuls(text: str) -> str:
    return _NULS.sub("\N{REPLACEMENT CHARACTER}", text)


def _text_encoding(name: str) -> str:
    """The codec that `name` means, or nothing if it is none, or none for text (`zlib`, `rot13`)."""
    try:
        info = codecs.lookup(name)
        return info.name if name and b"a".decode(info.name) == "a" else ""
    except (LookupError, UnicodeError, ValueError, AssertionError):
        # A page that says `utf-16` in ASCII cannot be UTF-16: two bytes make a character there.
        return ""


def _utf16_without_mark(data: bytes) -> str:
    """`utf-16-le` or `utf-16-be` where every other byte of a Western text is zero, else nothing."""
    sample = data[: _SAMPLE_BYTES // 2 * 2]
    half = len(sample) // 2
    if half < 4 or len(data) % 2:
        return ""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > 0.7 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.7 * half and odd < 0.05 * half:
        return "utf-16-be"
    return ""


def _guessed(data: bytes) -> str:
    best = from_bytes(data[:_SAMPLE_BYTES]).best()
    return best.encoding if best else "cp1252"
