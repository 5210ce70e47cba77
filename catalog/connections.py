"""How a source other than a folder is reached, how far it has been read, and what it did not tell.

No row holds a credential: `secret` names where it is kept.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from catalog.models import Base, UtcTime


class ConnectionRow(Base):
    """A source's system, how far it was read, and the moment up to which its permissions are mirrored here.

    `cursor` goes on where the last page ended; `listing` while a listing of everything is not at its end. `syncs`
    counts the syncs that have begun: only the newest may take a page.
    `problem` is what ended the last sync, None after one that came to its end.
    """

    __tablename__ = "connections"
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"), primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(32))
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    secret: Mapped[str | None] = mapped_column(String(255))
    cursor: Mapped[str | None] = mapped_column(Text)
    listing: Mapped[bool] = mapped_column(default=False)
    syncs: Mapped[int] = mapped_column(Integer, default=0)
    permissions_at: Mapped[datetime | None] = mapped_column(UtcTime)
    problem: Mapped[str | None] = mapped_column(Text)
    problem_at: Mapped[datetime | None] = mapped_column(UtcTime)


class ListedRow(Base):
    """A document that the open listing of a source has named: at its end, the others are gone."""

    __tablename__ = "listed_documents"
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"), primary_key=True, autoincrement=False)
    external_id: Mapped[str] = mapped_column(Text, primary_key=True)


class MirroredGroupRow(Base):
    """A group whose members a source tells; when no source tells them any more, it has none."""

    __tablename__ = "mirrored_groups"
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"), primary_key=True, autoincrement=False)
    group_id: Mapped[int] = mapped_column(ForeignKey("grantees.id"), primary_key=True, autoincrement=False, index=True)


class NoticeRow(Base):
    """Something a source did not tell: a document it would not list, whose readers it hid, a group it did not open.

    `subject` is an external id or a group; a notice ends with the sync that finds no more of it.
    """

    __tablename__ = "source_notices"
    __table_args__ = (CheckConstraint("about IN ('content', 'permissions', 'group')", name="about"),)
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"), primary_key=True, autoincrement=False)
    about: Mapped[str] = mapped_column(String(11), primary_key=True)
    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
