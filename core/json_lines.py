"""JSON on one line, for formats in which a line is a record."""

from __future__ import annotations

import json
from typing import Any

# JSON lets these stand in a string, and many who read line by line take them for the end of one (Unicode, UAX 14).
_ENDS_OF_LINES = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}


def json_line(value: Any) -> str:
    """`value` as JSON without any character that ends a line, and without the end of its own."""
    return json.dumps(value, ensure_ascii=False).translate(_ENDS_OF_LINES)
