"""What documents call each other: where in each chunk there are links, and to what. No word of their text."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from catalog.models import Base, RowId


class LinkRow(Base):
    """The link with this number in a chunk, from 1: the span of its text in the version's, and its target as written.

    Which document that is, is looked up when somebody asks: it may come later, or move, and not everybody may read it.
    """

    __tablename__ = "links"
    __table_args__ = ({"sqlite_with_rowid": False},)
    chunk_id: Mapped[int] = mapped_column(ForeignKey("chunks.id"), primary_key=True, type_=RowId, autoincrement=False)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    start: Mapped[int] = mapped_column(Integer)
    end: Mapped[int] = mapped_column(Integer)
    target: Mapped[str] = mapped_column(Text)
