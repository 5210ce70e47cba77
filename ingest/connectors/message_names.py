"""What a message of a mailbox is called as a file."""

from __future__ import annotations

import re
from email.errors import HeaderParseError
from email.header import decode_header, make_header

from core.documents import clean_text

_CHARACTERS = 120
_NOT_IN_NAMES = re.compile(r"[/\\\x00-\x1f\x7f\ufffd]+")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")


def header(head: bytes, name: str) -> str:
    """One header's value, unfolded and with its encoded words decoded (RFC 5322, 2.2.3; RFC 2047); "" without it."""
    found = re.search(rb"^%s[ \t]*:([^\r\n]*)" % re.escape(name.encode()), _FOLD.sub(b"", head), re.I | re.M)
    if found is None:
        return ""
    text = found[1].decode("utf-8", "replace").strip()
    try:
        return str(make_header(decode_header(text)))
    except (LookupError, ValueError, HeaderParseError):
        return text


def file_name(head: bytes) -> str:
    """`Subject.eml`, the subject without what has no place in a file name."""
    words = " ".join(_NOT_IN_NAMES.sub(" ", clean_text(header(head, "Subject"))).split())
    return f"{words[:_CHARACTERS].strip('. ') or 'message'}.eml"
