"""Where secrets and personal data stand in stored text, and whose groups see what of it. No row holds a word of it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from catalog.models import Base, RowId, UtcTime, now


class SensitiveScanRow(Base):
    """A version whose text was looked at, and by which state of the detectors."""

    __tablename__ = "sensitive_scans"
    version_id: Mapped[int] = mapped_column(ForeignKey("document_versions.id"), primary_key=True, type_=RowId)
    detector: Mapped[str] = mapped_column(String(16))


class SensitiveSpanRow(Base):
    """One span of a version's text, in code points, and what stands there; spans of a version do not overlap."""

    __tablename__ = "sensitive_spans"
    version_id: Mapped[int] = mapped_column(ForeignKey("document_versions.id"), primary_key=True, type_=RowId)
    start: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    end: Mapped[int] = mapped_column(Integer)
    category: Mapped[str] = mapped_column(String(32))


class RedactionPolicyRow(Base):
    """What is masked for the members of one group, or for everyone."""

    __tablename__ = "redaction_policies"
    __table_args__ = (CheckConstraint("policy IN ('open', 'standard', 'strict')", name="policy"),)
    grantee_id: Mapped[int] = mapped_column(ForeignKey("grantees.id"), primary_key=True, autoincrement=False)
    policy: Mapped[str] = mapped_column(String(8))
    changed_at: Mapped[datetime] = mapped_column(UtcTime, default=now)
