"""Links as evidence: what a document is called where others link to it, for a person who may read both.

What people call a page is often not written on it, and stands in the links that lead there: McBryan, "GENVL and WWWW"
(1994); Craswell, Hawking and Robertson, "Effective Site Finding using Link Anchor Information", SIGIR 2001. A link
that the asker may not read says nothing to them, and one to a document they may not read leads nowhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap, FrozenBitMap

from core.places import Lead, address_steps, lead_of, place_key, steps_of
from core.principals import Principal
from governance.access.readable import ReadableRows
from governance.doors import Gate, PlacedDocument
from retrieval.analysis import link_term, telling_stems
from retrieval.index.selection import Selection
from retrieval.lexical import frequencies, inverse_frequency, occurrences

# Names of more words are sentences. A question of more is looked through no further.
_NAME_WORDS = 12
_QUESTION_WORDS = 60

# Less of a question than this says nothing of what it is about: a fifth, squared.
_LEAST = 0.04

# Of links with one name so many are followed, and of the documents that they lead to so many of the best are raised.
_ALIKE = 16
_FOLLOWED = 32
_MOST_POINTED = 10


@dataclass(frozen=True)
class Named:
    """A link that a question calls by its whole name: the chunk's row, its number there, and how much of the question
    its name is, to 1: half of what is asked says a quarter of what it is about."""

    row: int
    number: int
    share: float


@dataclass(frozen=True)
class Pointed:
    """A document that links lead to: its catalog rows, and the greatest share that one of their names has."""

    rows: NDArray[np.int64]
    share: float


Follow = Callable[[Sequence[Named], BitMap | FrozenBitMap], Sequence[Pointed]]
"""Follows links for one person, to documents that have some of these catalog rows."""


def named_links(selection: Selection, query: str, language: str) -> list[Named]:
    """The readable links whose whole text stands in a question, in whatever order its words are; the best first.

    Function words do not count, and every other one by how rare it is among the readable chunks.
    """
    stems = telling_stems(query, language)[:_QUESTION_WORDS]
    windows = {
        link_term(stems[start:end]): (start, end)
        for start in range(len(stems))
        for end in range(start + 1, min(start + _NAME_WORDS, len(stems)) + 1)
    }
    found = occurrences(selection, list(windows), _ALIKE)
    if not found:
        return []
    weights = [inverse_frequency(len(selection), often) for often in frequencies(selection, stems)]
    shares = {term: (sum(weights[start:end]) / sum(weights)) ** 2 for term, (start, end) in windows.items()}
    named = [
        Named(row, number, shares[term])
        for term, (slots, numbers) in found.items()
        if shares[term] >= _LEAST
        for row, number in zip(selection.rows_of(slots).tolist(), numbers.tolist(), strict=True)
    ]
    return sorted(named, key=lambda one: (-one.share, one.row, one.number))[:_FOLLOWED]


@dataclass(frozen=True)
class _Standing:
    """A document with the steps of its path, and of its address on the web."""

    document: PlacedDocument
    path: tuple[str, ...]
    address: tuple[str, ...]


@dataclass(frozen=True)
class Links:
    """Follows links in the live catalog. Whom the answer is for decides what is read and what is found."""

    gate: Gate
    readable: ReadableRows

    def follow(self, principal: Principal, links: Sequence[Named], ranked: BitMap | FrozenBitMap) -> list[Pointed]:
        """The documents that these links lead to, those of the greatest share first.

        Only documents are looked at that have some of the rows that are `ranked`: another one, which a filter leaves
        out, does not make a link ambiguous either.
        """
        share_of = {(link.row, link.number): link.share for link in links}
        shares: dict[tuple[Lead, int], float] = {}  # by where they lead, and from which source
        for link in self.gate.links(principal, list(share_of)):
            lead = lead_of(link.external_id, link.uri, link.target)
            if lead is not None:
                place, share = (lead, link.source_id), share_of[link.row, link.number]
                shares[place] = max(share, shares.get(place, 0.0))
        keys = {key for lead, _ in shares if (key := place_key(lead.steps))}
        there = self.gate.placed(principal, keys) if keys else []
        rows = {one.document_id: self.readable.rows_of(one.document_id) for one in there}
        there = [one for one in there if any(row in ranked for row in rows[one.document_id][:1].tolist())]
        best = sorted(_documents(shares, there).items(), key=lambda one: (-one[1], one[0]))[:_MOST_POINTED]
        return [Pointed(rows[document_id], share) for document_id, share in best]


def _documents(shares: Mapping[tuple[Lead, int], float], there: Iterable[PlacedDocument]) -> dict[str, float]:
    """For each document that is led to the greatest share."""
    by_key: dict[str | None, list[_Standing]] = defaultdict(list)
    for document in there:
        standing = _Standing(document, steps_of(document.external_id), address_steps(document.uri))
        for key in {place_key(standing.path), place_key(standing.address)}:
            by_key[key].append(standing)
    found: dict[str, float] = {}
    for (lead, source_id), share in shares.items():
        document_id = _led_to(lead, source_id, by_key[place_key(lead.steps)])
        if document_id is not None:
            found[document_id] = max(share, found.get(document_id, 0.0))
    return found


def _led_to(lead: Lead, source_id: int, there: Sequence[_Standing]) -> str | None:
    """The one document that a link leads to; None where there is none, or several alike.

    An address has to be the document's. A path is looked for in the link's own source: if nothing stands there, that
    document is meant which shares the most of its last steps, and all that the link names. So links hold that are
    relative to a site's root, and where parts of a folder were brought in elsewhere.
    """
    if lead.on_the_web:
        ids = [one.document.document_id for one in there if lead.steps in (one.path, one.address)]
    else:
        own = [one for one in there if one.document.source_id == source_id]
        most = max((_common(one.path, lead.steps) for one in own), default=0)
        exact = [one for one in own if one.path == lead.steps]
        near = [one for one in own if _common(one.path, lead.steps) == most >= lead.named]
        ids = [one.document.document_id for one in exact or near]
    return ids[0] if len(ids) == 1 else None


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of their last steps are the same."""
    same = 0
    for here, there in zip(reversed(one), reversed(other), strict=False):
        if here != there:
            break
        same += 1
    return same
