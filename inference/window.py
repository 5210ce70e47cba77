"""The part of a text a model can see, and the refusal of what lies outside it."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import WrongUsage


class TextOverWindow(WrongUsage):
    """A text is longer than the model's window, so part of it would never be found."""

    def __init__(self, position: int, tokens: int, window_tokens: int) -> None:
        super().__init__(
            f"Text {position} has {tokens} tokens and the model sees {window_tokens}; "
            "cut it into smaller chunks, since what lies beyond the window would never be found."
        )
        self.position = position
        self.tokens = tokens
        self.window_tokens = window_tokens


def require_within_window(token_counts: Sequence[int], window_tokens: int) -> None:
    """Raise `TextOverWindow` for the first text that the model could not see whole."""
    for position, tokens in enumerate(token_counts):
        if tokens > window_tokens:
            raise TextOverWindow(position, tokens, window_tokens)
