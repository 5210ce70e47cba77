"""What near-duplicates are found by: a signature of each version that is current or on its way in. No word of its text.

No pair is kept: which documents are near each other is looked up in these, so that nothing has to be undone when one
of them changes, and nothing but themselves connects two documents.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Integer, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from catalog.models import Base, RowId


class SignatureRow(Base):
    """A version's signature, and which way of signing made it (see `inference.minhash`)."""

    __tablename__ = "signatures"
    version_id: Mapped[int] = mapped_column(ForeignKey("document_versions.id"), primary_key=True, type_=RowId)
    made_by: Mapped[int] = mapped_column(Integer)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class BandRow(Base):
    """One of the keys that two signatures have to share to be compared."""

    __tablename__ = "signature_bands"
    # In the order of the keys: they are looked up far more often than the rows of a version are removed.
    __table_args__ = ({"sqlite_with_rowid": False},)
    key: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    version_id: Mapped[int] = mapped_column(
        ForeignKey("document_versions.id"), primary_key=True, type_=RowId, index=True
    )
