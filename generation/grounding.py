"""Draft sentences in, cited claims out: each marker becomes a span of stored text, or the sentence is dropped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import regex

from core.answers import Citation, Claim, Passage
from generation.answerer import DraftSentence
from generation.sentences import plain, split_sentences
from generation.support import support
from generation.terms import terms
from inference.encoder import Encoder

# A claim that its citations support less than this is not shown.
MIN_SUPPORT = 0.5

# A claim without a usable marker, or a long passage, is compared with this many of the likeliest sentences.
_SENTENCES_COMPARED = 8

# A second sentence is cited with the first when it lifts the support by this much.
_LIFT = 0.1

_MARKER = regex.compile(r"\s*\[(\d{1,3})\]")
_CLOSING = regex.compile(r"[.!?…。！？।؟۔]+['\"”’»)\]]*$")


@dataclass(frozen=True)
class GroundedSentence:
    """A claim that its citations support, and the text to show: markers stand before the final stop."""

    text: str
    claim: Claim
    citations: tuple[Citation, ...]


@dataclass(frozen=True)
class _Span:
    """`passage.text[start:end]`."""

    passage: Passage
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.passage.text[self.start : self.end]

    @property
    def key(self) -> tuple[str, int, int]:
        """The same for the same sentence of a document, whichever passage it was found in."""
        return (self.passage.document_id, self.passage.start + self.start, self.passage.start + self.end)


def ground(
    drafts: Iterable[DraftSentence], passages: Sequence[Passage], encoder: Encoder
) -> Iterator[GroundedSentence]:
    """Check each draft sentence as it comes; what has no sufficient support, or says nothing new, is left out.

    Citations are spans of whole sentences, numbered from 1 in the order of first use; the same span keeps its number.
    A draft with no marker that names a passage is compared with all of them.
    """
    numbers: dict[tuple[str, int, int], int] = {}
    said: set[str] = set()
    for draft in drafts:
        claim = _MARKER.sub("", draft.text).strip()
        if not claim or claim.casefold() in said:
            continue
        cited = [passages[n - 1] for n in _markers(draft.text) if 1 <= n <= len(passages)]
        spans, score = _supporting(claim, cited or passages, encoder)
        if score < MIN_SUPPORT or (draft.quoted and all(span.key in numbers for span in spans)):
            continue
        said.add(claim.casefold())
        yield _grounded(claim, spans, score, numbers)


def _markers(text: str) -> list[int]:
    """The numbers of the markers of `text`, in order, each once."""
    return list(dict.fromkeys(int(match[1]) for match in _MARKER.finditer(text)))


def _supporting(claim: str, passages: Sequence[Passage], encoder: Encoder) -> tuple[list[_Span], float]:
    """The span that holds the claim word for word, else the one or two sentences that support it best."""
    for passage in passages:
        if found := find_verbatim(claim, passage.text):
            span = _Span(passage, *found)
            return [span], 1.0
    return _paraphrased(claim, passages, encoder)


def _paraphrased(claim: str, passages: Sequence[Passage], encoder: Encoder) -> tuple[list[_Span], float]:
    spans = [_Span(passage, s.start, s.end) for passage in passages for s in split_sentences(passage.text)]
    asked = {passage.language: set(terms(claim, passage.language)) for passage in passages}
    shared = [len(asked[s.passage.language].intersection(terms(s.text, s.passage.language))) for s in spans]
    likely = [spans[i] for i in np.argsort([-n for n in shared], kind="stable")[:_SENTENCES_COMPARED]]
    if not likely:
        return [], 0.0
    language = likely[0].passage.language or "en"
    scored = [(support(claim, [span.text], encoder, language), span) for span in likely]
    best_score, best = max(scored, key=lambda pair: pair[0])
    for _, span in sorted(scored, key=lambda pair: -pair[0])[1:3]:
        together = support(claim, [best.text, span.text], encoder, language)
        if together >= best_score + _LIFT:
            return sorted([best, span], key=lambda s: (s.passage.document_id, s.start)), together
    return [best], best_score


def _grounded(
    claim: str, spans: Sequence[_Span], score: float, numbers: dict[tuple[str, int, int], int]
) -> GroundedSentence:
    citations = []
    for span in spans:
        citations.append(_citation(numbers.setdefault(span.key, len(numbers) + 1), span))
    closing = _CLOSING.search(claim)
    body, stop = (claim[: closing.start()], closing.group()) if closing else (claim, "")
    markers = tuple(citation.marker for citation in citations)
    shown = f"{body}{''.join(f' [{marker}]' for marker in markers)}{stop or '.'}"
    return GroundedSentence(shown, Claim(body, markers, round(score, 3)), tuple(citations))


def _citation(marker: int, span: _Span) -> Citation:
    passage = span.passage
    return Citation(
        marker=marker,
        document_id=passage.document_id,
        version=passage.version,
        source=passage.source,
        external_id=passage.external_id,
        uri=passage.uri,
        title=passage.title,
        heading=passage.heading,
        page=passage.page,
        start=passage.start + span.start,
        end=passage.start + span.end,
        quote=span.text,
    )


def find_verbatim(claim: str, text: str) -> tuple[int, int] | None:
    """The sentences of `text` that together hold exactly `claim`, as (start, end); white space and case are folded.

    None when no run of whole sentences reads like the claim: half a sentence can mean its opposite.
    """
    wanted = fold(claim)
    sentences = split_sentences(text)
    folded = [fold(text[s.start : s.end]) for s in sentences]
    for first in range(len(sentences)):
        run = ""
        for last in range(first, len(sentences)):
            run = f"{run} {folded[last]}".strip()
            if run == wanted and run:
                return sentences[first].start, sentences[last].end
            if not wanted.startswith(run):
                break
    return None


def fold(text: str) -> str:
    """A sentence without what a draft may drop: marks, the closing stop, case, runs of white space."""
    return str(_CLOSING.sub("", plain(text))).casefold()
