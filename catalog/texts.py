"""The one table that holds document text.

Only `governance.doors` may import this module; an architecture test holds that, and that no other file names the
table.
"""

from __future__ import annotations

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from catalog.models import Base, RowId


class VersionText(Base):
    """The clean text of one version; every offset in the catalog counts its code points."""

    __tablename__ = "version_texts"
    version_id: Mapped[int] = mapped_column(ForeignKey("document_versions.id"), primary_key=True, type_=RowId)
    text: Mapped[str] = mapped_column(Text)
