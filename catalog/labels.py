"""Labels that an administrator gives to documents, or to a source and so to all it has and will have."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from catalog.models import Base

MAX_LABEL_CHARACTERS = 64


class DocumentLabelRow(Base):
    __tablename__ = "document_labels"
    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id"), primary_key=True)
    label: Mapped[str] = mapped_column(String(MAX_LABEL_CHARACTERS), primary_key=True)


class SourceLabelRow(Base):
    __tablename__ = "source_labels"
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"), primary_key=True, autoincrement=False)
    label: Mapped[str] = mapped_column(String(MAX_LABEL_CHARACTERS), primary_key=True)
