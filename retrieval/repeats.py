"""Ranked once: of passages that say the same in near-duplicates, the best keeps its place and names the others.

Only passages of the asker take part, each handed out by the gate, so that what is hidden moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial

from regex import Pattern
from sqlalchemy import bindparam, select

from catalog.database import Catalog
from catalog.models import ChunkRow, Document
from catalog.signatures import SignatureRow
from core.answers import Passage
from inference.minhash import NEAR, SIGNATURE_VERSION, Shingles, jaccard, near_pairs, shingles_of, stacked
from inference.statements import IDENTIFIER, NAME, NEGATION, NUMBER, WORD

_SLICE = 500


@dataclass(frozen=True)
class Kin:
    """The near-duplicates of each document that has some, and when each of them changed last."""

    near: Mapping[str, Set[str]] = field(default_factory=dict)
    updated: Mapping[str, datetime] = field(default_factory=dict)


def kin_of(catalog: Catalog, rows: Sequence[int]) -> Kin:
    """The near-duplicates among the documents of these catalog rows, of which the caller was given the text."""
    versions: list[int] = []
    signatures: list[bytes] = []
    for at in range(0, len(rows), _SLICE):
        with catalog.read() as session:
            for version_id, data in session.execute(_SIGNED, {"rows": list(rows[at : at + _SLICE])}):
                versions.append(version_id)
                signatures.append(data)
    pairs = [(versions[one], versions[other]) for one, other in near_pairs(stacked(signatures))]
    if not pairs:
        return Kin()
    with catalog.read() as session:
        concerned = sorted({version for pair in pairs for version in pair})
        found = session.execute(_CURRENT, {"versions": concerned}).all()
    names = {record.version_id: record.id for record in found}
    near: dict[str, set[str]] = {}
    for one, other in pairs:
        if one in names and other in names:
            near.setdefault(names[one], set()).add(names[other])
            near.setdefault(names[other], set()).add(names[one])
    return Kin(near, {record.id: record.updated_at for record in found})


@dataclass
class Ranked:
    """A passage with its score, and those that say the same, best first."""

    passage: Passage
    score: float
    repeats: list[tuple[Passage, float]] = field(default_factory=list)


def once(ranking: Iterable[tuple[Passage, float]], kin: Kin) -> list[Ranked]:
    """A ranking, best first, without what repeats something of it.

    Of equal scores the document that changed last keeps the place.
    """
    distinct: list[Ranked] = []
    same = partial(say_the_same, shingles=cache(shingles_of))  # each passage meets several others
    for passage, score in ranking:
        near = kin.near.get(passage.document_id, ())
        alike = (one for one in distinct if one.passage.document_id in near)
        repeated = next((one for one in alike if same(one.passage.text, passage.text)), None)
        if repeated is None:
            distinct.append(Ranked(passage, score))
        elif score == repeated.score and _newer(passage, repeated, kin):
            repeated.repeats.insert(0, (repeated.passage, repeated.score))
            repeated.passage = passage
        else:
            repeated.repeats.append((passage, score))
    return distinct


def say_the_same(one: str, other: str, shingles: Callable[[str], Shingles] = shingles_of) -> bool:
    """Whether two passages make the same statements, as far as words tell.

    They share their shingles; and no number, name or identifier stands in one alone, nor a negation: "30 days" and
    "20 days" are not the same, however long what stands around them.
    """
    if one == other:
        return True
    if jaccard(shingles(one), shingles(other)) < NEAR:
        return False
    return (
        all(_found(pattern, one) == _found(pattern, other) for pattern in (NUMBER, IDENTIFIER))
        and len(NEGATION.findall(one)) == len(NEGATION.findall(other))
        and _found(NAME, one) <= _found(WORD, other)
        and _found(NAME, other) <= _found(WORD, one)
    )


def _newer(passage: Passage, than: Ranked, kin: Kin) -> bool:
    """Whether a passage is of a document that changed later, and says what the repeats say too."""
    if kin.updated[passage.document_id] <= kin.updated[than.passage.document_id]:
        return False
    return all(say_the_same(passage.text, one.text) for one, _ in than.repeats)


def _found(pattern: Pattern, text: str) -> set[str]:
    return {match.group().casefold() for match in pattern.finditer(text)}


_SIGNED = select(SignatureRow.version_id, SignatureRow.data).where(
    SignatureRow.version_id.in_(select(ChunkRow.version_id).where(ChunkRow.id.in_(bindparam("rows", expanding=True)))),
    SignatureRow.made_by == SIGNATURE_VERSION,
)
_CURRENT = select(Document.id, Document.version_id, Document.updated_at).where(
    Document.version_id.in_(bindparam("versions", expanding=True))
)
