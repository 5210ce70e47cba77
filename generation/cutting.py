"""Sentences out of text that is still being written."""

from __future__ import annotations

from collections.abc import Iterator

import regex

from generation.sentences import split_sentences

# A marker after the stop belongs to the sentence before it.
_AFTER_STOP = regex.compile(r"([.!?…。！？।]['\"”’»)]*)((?:\s*\[\d{1,3}\])+)")
_ENDED = regex.compile(r"[.!?…。！？।؟۔]['\"”’»)]*$")
_MARKER_BEGUN = regex.compile(r"[\s\[\]\d]*")
# Whether a stop ends a sentence may hang on the words after it: an abbreviation, a date, an initial.
_WORDS_AHEAD = 3
# Without one of these no sentence ends (`split_sentences`); Thai is cut at spaces.
_MAY_END = regex.compile(r"[.!?…؟۔。！？｡।॥\n]|\p{Thai}")


class SentenceCutter:
    """Takes text piece by piece and gives each sentence once it is certain where it ends.

    However the text is cut into pieces, the sentences are the same.
    """

    def __init__(self) -> None:
        self._text = ""
        self._given = 0
        self._rest_at = 0

    def feed(self, piece: str) -> Iterator[str]:
        """The sentences that are now certain."""
        self._text += piece
        if piece.isalnum() or not self._may_be_certain():
            return
        sentences = _sentences(self._text)
        while len(sentences) > self._given + 1 and _certain([text for _, text in sentences[self._given + 1 :]]):
            yield sentences[self._given][1]
            self._given += 1
            self._rest_at = sentences[self._given][0]

    def rest(self, *, cut_off: bool = False) -> Iterator[str]:
        """The sentences left when nothing follows; of a text that was cut off, no last one without its end."""
        left = [text for _, text in _sentences(self._text)[self._given :]]
        if cut_off and left and not _ENDED.search(left[-1]):
            left.pop()
        yield from left

    def _may_be_certain(self) -> bool:
        """Whether it is worth splitting all of it again, as it seldom is after one more word."""
        end = _MAY_END.search(self._text, self._rest_at)
        return end is not None and len(self._text[end.end() :].split(maxsplit=_WORDS_AHEAD)) > _WORDS_AHEAD


def _sentences(text: str) -> list[tuple[int, str]]:
    """Each sentence with where it starts; markers that stood behind its stop stand before it."""
    moved = _AFTER_STOP.sub(lambda found: f"{found[2]}{found[1]}", text)
    return [(sentence.start, moved[sentence.start : sentence.end]) for sentence in split_sentences(moved)]


def _certain(following: list[str]) -> bool:
    """Whether enough follows a sentence to know that it has ended, and no marker of it is still to come."""
    ahead = " ".join(following)
    return _MARKER_BEGUN.fullmatch(following[0]) is None and len(ahead.split()) > _WORDS_AHEAD
