"""Bytes of unknown encoding to text: byte order mark, declaration, UTF-8, UTF-16 by its zeros, then statistics."""

from __future__ import annotations

import codecs
import re
from collections import Counter

from charset_normalizer import from_bytes

_SAMPLE_BYTES = 64 * 1024
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What documents are written in, where they are not in Unicode; encodings that nobody uses win by accident.
_USED = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874", "iso8859_2"),
    *("iso8859_5", "iso8859_7", "iso8859_9", "iso8859_15", "koi8_r", "cp866", "cp850", "cp437", "mac_roman"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949", "johab"),
]
_JAPANESE_MAIL = re.compile(rb"\x1b\$[@B]")
# High bytes of UTF-16 that make up nearly all of a text: those of its script, of spaces and of marks.
_SCRIPTS, _OF_SCRIPTS = 3, 0.9
_DISTINCT = 12
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
    japanese = "iso2022_jp" if _JAPANESE_MAIL.search(data[:_SAMPLE_BYTES]) else ""
    for encoding in filter(None, (_text_encoding(declared), _utf16_without_mark(data), japanese, "utf-8")):
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
    return bool(sample) and _is_without_controls(sample)


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
    """`utf-16-le` or `utf-16-be` where every other byte is that of a script, as zero is of a Western text's."""
    sample = data[: _SAMPLE_BYTES // 2 * 2]
    half = len(sample) // 2
    if half < 4 or len(data) % 2:
        return ""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > 0.7 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.7 * half and odd < 0.05 * half:
        return "utf-16-be"
    # Text of eight bits holds no controls; the bytes of other scripts are controls here and there.
    if _is_without_controls(sample):
        return ""
    return next(filter(lambda encoding: _is_of_few_scripts(sample, encoding), ("utf-16-le", "utf-16-be")), "")


def _is_without_controls(sample: bytes) -> bool:
    return len(sample) - len(sample.translate(None, _CONTROLS)) <= len(sample) // 100


def _is_of_few_scripts(sample: bytes, encoding: str) -> bool:
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return False
    if len(set(text)) < min(_DISTINCT, len(text) // 2):
        return False  # a pattern of bytes that repeats is no writing
    scripts = Counter(ord(character) >> 8 for character in text).most_common(_SCRIPTS)
    shown = sum(character.isprintable() or character.isspace() for character in text)
    letters = sum(character.isalpha() for character in text)
    concentrated = sum(count for _, count in scripts) >= _OF_SCRIPTS * len(text)
    # Half of all units are Chinese or Korean, so that only much more than half tells anything.
    eastern = sum("\u3000" <= one <= "\u9fff" or "\uac00" <= one <= "\ud7a3" or one < "\x7f" for one in text)
    return (concentrated or eastern >= 0.95 * len(text)) and shown >= 0.98 * len(text) and letters >= len(text) // 2


def _guessed(data: bytes) -> str:
    best = from_bytes(data[:_SAMPLE_BYTES], cp_isolation=_USED).best()
    return best.encoding if best else "cp1252"
