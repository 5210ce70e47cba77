"""Sentences out of text that is still being written."""

from __future__ import annotations

from collections.abc import Iterator

import regex

from generation.sentences import split_sentences

# A marker after the stop belongs to the sentence before it.
_AFTER_STOP = regex.compile(r"([.!?…。！？।]['\"”’»)]*)((?:\s*\[\d{1,3}\])+)")
_MARKER_BEGUN = regex.compile(r"[\s\[\]\d]*")
# Whether a stop ends a sentence may hang on the words after it: an abbreviation, a date, an initial.
_WORDS_AHEAD = 3


class SentenceCutter:
    """Takes text piece by piece and gives each sentence once it is certain where it ends.

    However the text is cut into pieces, the sentences are the same.
    """

    def __init__(self) -> None:
        self._text = ""
        self._given = 0

    def feed(self, piece: str) -> Iterator[str]:
        """The sentences that are now certain."""
        self._text += piece
        if piece.isalnum():
            return
        sentences = _sentences(self._text)
        while len(sentences) > self._given + 1 and _certain(sentences[self._given + 1 :]):
            yield sentences[self._given]
            self._given += 1

    def rest(self) -> Iterator[str]:
        """The sentences left when nothing follows."""
        yield from _sentences(self._text)[self._given :]


def _sentences(text: str) -> list[str]:
    moved = _AFTER_STOP.sub(lambda found: f"{found[2]}{found[1]}", text)
    return [moved[sentence.start : sentence.end] for sentence in split_sentences(moved)]


def _certain(following: list[str]) -> bool:
    """Whether enough follows a sentence to know that it has ended, and no marker of it is still to come."""
    ahead = " ".join(following)
    return _MARKER_BEGUN.fullmatch(following[0]) is None and len(ahead.split()) > _WORDS_AHEAD
