"""What may be told of a parsing library's error: who reads a cause may not be somebody who may read the document."""

from __future__ import annotations


def sign_of(error: Exception) -> str:
    """The error's class and, where it knows one, its line and column; never its words, which may quote the document."""
    position = getattr(error, "position", None)
    if not isinstance(position, tuple) or len(position) != 2:
        return type(error).__name__
    return f"{type(error).__name__} at line {position[0]}, column {position[1]}"
