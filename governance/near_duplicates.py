"""Documents that say nearly the same: what each is found by, and which of them somebody may be told of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, bindparam, delete, insert, select, true, union_all
from sqlalchemy.orm import Session

from catalog.database import Catalog
from catalog.models import Document
from catalog.signatures import BandRow, SignatureRow
from core.principals import Principal
from governance.access.membership import asking
from governance.access.sets import READABLE_SETS
from governance.redaction import masked_line, policy_of
from governance.safety.sensitive import Policy, Span, mask, masked_categories
from governance.searchable import UNSEARCHABLE
from inference.minhash import (
    BANDS,
    NEAR,
    SIGNATURE_VERSION,
    band_keys,
    from_bytes,
    resemblance,
    signature,
    to_bytes,
)

MOST_TOLD = 20
# So many of each band are compared, the newest first: of thousands of copies nobody wants to be told more, and whoever
# opens one of them should not wait for all.
_MOST_OF_A_BAND = 64


@dataclass(frozen=True)
class NearDuplicate:
    """A document that says nearly the same as another; `similarity` is the share of both, estimated, from 0 to 1."""

    document_id: str
    title: str
    uri: str
    similarity: float


def signed(text: str, sensitive: Sequence[Span]) -> bytes:
    """What a version's near-duplicates are found by; empty for a text that says too little.

    As in the index, it holds nothing of what the standard policy masks.
    """
    found = signature(mask(text, masked_categories(UNSEARCHABLE, sensitive)))
    return b"" if found is None else to_bytes(found)


def store_signatures(session: Session, signatures: Mapping[int, bytes]) -> None:
    """Keep the signatures of these versions, which have none yet, within the caller's writing transaction."""
    kept = {version_id: data for version_id, data in signatures.items() if data}
    if not kept:
        return
    rows = [{"version_id": one, "made_by": SIGNATURE_VERSION, "data": data} for one, data in kept.items()]
    bands = [{"key": key, "version_id": one} for one, data in kept.items() for key in set(band_keys(from_bytes(data)))]
    session.execute(insert(SignatureRow), rows)
    # In the order of the table, which costs half of what any other does.
    session.execute(insert(BandRow), sorted(bands, key=lambda band: band["key"]))


def forget_signatures(session: Session, version_ids: Sequence[int]) -> None:
    """Remove the signatures of these versions, within the caller's writing transaction."""
    session.execute(delete(BandRow).where(BandRow.version_id.in_(version_ids)))
    session.execute(delete(SignatureRow).where(SignatureRow.version_id.in_(version_ids)))


@dataclass(frozen=True)
class NearDuplicates:
    """Looks up what is near a document now; nothing is kept that a change could outdate.

    Documents are compared with the one that was asked for and never through a third, and access is decided in the
    statement that reads: what somebody may not read changes nothing of what they are told. Titles come masked by their
    policy; `redaction` is that of people without one, and of administrators.
    """

    catalog: Catalog
    redaction: Policy = "standard"

    def readable(self, principal: Principal, document_id: str) -> list[NearDuplicate]:
        """At most `MOST_TOLD` documents that the principal may read, like the one named, most similar first.

        None where they may not read that one, or it says too little to be compared.
        """
        with self.catalog.read() as session:
            found = _near(session, _READABLE, {"document_id": document_id, **asking(principal)})
            policy = policy_of(session, principal, self.redaction) if found else self.redaction
        return _told(found, policy)

    def all(self, document_id: str) -> list[NearDuplicate]:
        """The same of all documents, for administrators."""
        with self.catalog.read() as session:
            found = _near(session, _EVERYTHING, {"document_id": document_id})
        return _told(found, self.redaction)


# Of the document that was asked for; whether who asks may read it, the next statement decides.
_OWN = (
    select(SignatureRow.data)
    .join(Document, Document.version_id == SignatureRow.version_id)
    .where(Document.id == bindparam("document_id"), SignatureRow.made_by == SIGNATURE_VERSION)
)


def _candidates(may_be_told: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    """The documents that share a band with the one that was asked for, where that one and they may be told."""
    asked = select(Document.version_id).where(Document.id == bindparam("document_id"), may_be_told)
    bands = []
    for number in range(BANDS):
        holders = (
            select(BandRow.version_id)
            .join(Document, Document.version_id == BandRow.version_id)
            .where(BandRow.key == bindparam(f"key_{number}"), may_be_told)
            .order_by(BandRow.version_id.desc())
            .limit(_MOST_OF_A_BAND + 1)  # one of them is the document that was asked for
            .subquery()
        )
        bands.append(select(holders.c.version_id))
    return (
        select(Document.id, Document.title, Document.uri, SignatureRow.data)
        .join(SignatureRow, SignatureRow.version_id == Document.version_id)
        .where(
            SignatureRow.version_id.in_(union_all(*bands)),
            SignatureRow.made_by == SIGNATURE_VERSION,
            Document.id != bindparam("document_id"),
            asked.exists(),
        )
    )


# A deleted document has no current version, and one that is on its way in has none yet: the joins leave both out.
# Built once: building such a statement takes longer than running it.
_READABLE = _candidates(Document.access_set_id.in_(READABLE_SETS))
_EVERYTHING = _candidates(true())

_Found = tuple[Row[*tuple[Any, ...]], float]


def _near(session: Session, statement: Select[*tuple[Any, ...]], parameters: Mapping[str, Any]) -> list[_Found]:
    data = session.scalar(_OWN, parameters)
    if data is None:
        return []
    mine = from_bytes(data)
    keys = {f"key_{number}": key for number, key in enumerate(band_keys(mine))}
    candidates = session.execute(statement, {**parameters, **keys}).all()
    found = [(one, resemblance(mine, from_bytes(one.data))) for one in candidates]
    near = [(one, similarity) for one, similarity in found if similarity >= NEAR]
    return sorted(near, key=lambda pair: (-pair[1], pair[0].uri, pair[0].id))[:MOST_TOLD]


def _told(found: Sequence[_Found], policy: Policy) -> list[NearDuplicate]:
    return [
        NearDuplicate(one.id, masked_line(one.title, policy), one.uri, round(similarity, 3))
        for one, similarity in found
    ]
