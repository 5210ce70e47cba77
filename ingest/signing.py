"""Stored texts without a signature, of an older home: signed, so that near-duplicates are found."""

from __future__ import annotations

from sqlalchemy import select

from catalog.database import Catalog
from catalog.models import Document
from catalog.signatures import SignatureRow
from governance.doors import maintenance
from governance.near_duplicates import forget_signatures, signed, store_signatures
from governance.redaction import spans_of_version
from inference.minhash import SIGNATURE_VERSION


def sign_stored_texts(catalog: Catalog) -> int:
    """Sign every current version that has no signature of this program; returns how many have one now.

    Each is one short transaction, so it may be interrupted and repeated. What is sensitive has to be tagged already.
    """
    door = maintenance(catalog, "ingestion")
    have = select(SignatureRow.version_id).where(SignatureRow.made_by == SIGNATURE_VERSION)
    lacking = select(Document.version_id).where(Document.version_id.is_not(None), Document.version_id.not_in(have))
    with catalog.read() as session:
        versions = [one for one in session.scalars(lacking.order_by(Document.version_id)) if one is not None]
    done = 0
    for version_id in versions:
        text = door.text(version_id)
        if text is None:
            continue
        with catalog.read() as session:
            sensitive = spans_of_version(session, version_id).get(version_id, [])
        signature = signed(text, sensitive)
        with catalog.write() as session:
            forget_signatures(session, [version_id])
            store_signatures(session, {version_id: signature})
        done += bool(signature)
    return done
