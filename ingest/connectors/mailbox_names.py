"""Names of IMAP folders: modified UTF-7 (RFC 3501, 5.1.3), and how a folder is quoted in a command."""

from __future__ import annotations

import base64
import binascii
import re

_ENCODED = re.compile(r"&([^-]*)-")
_PRINTABLE = re.compile(r"[\x20-\x25\x27-\x7e]+|&|[^\x20-\x7e]+")


def decoded(name: str) -> str:
    """A folder's name as people read it; a name that is no modified UTF-7 (a server's mistake) stays as it is.

    Two folders never get one name.
    """

    def characters(match: re.Match[str]) -> str:
        if not match[1]:
            return "&"
        data = match[1].replace(",", "/")
        return base64.b64decode(data + "=" * (-len(data) % 4), validate=True).decode("utf-16-be")

    try:
        text = _ENCODED.sub(characters, name)
    except (binascii.Error, UnicodeDecodeError):
        return name
    return text if encoded(text) == name else name


def encoded(name: str) -> str:
    """The inverse of `decoded`, for every name that people write."""

    def written(match: re.Match[str]) -> str:
        text = match[0]
        if text == "&":
            return "&-"
        if not " " <= text[0] <= "~":
            data = base64.b64encode(text.encode("utf-16-be")).decode("ascii").rstrip("=")
            return f"&{data.replace('/', ',')}-"
        return text

    return _PRINTABLE.sub(written, name)


def quoted(name: str) -> str:
    """A name as a quoted string of a command; raises `ValueError` for what no command can hold."""
    if re.search(r"[\x00-\x1f\x7f]", name) or not name.isascii():
        raise ValueError("a folder's name holds a control character")
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquoted(text: str) -> str:
    """What a quoted string or an atom of an answer says."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text
