"""Conversations and their turns, and what people said of answers.

What people wrote and were told is encrypted with their own key (see `governance.sealing`); these tables hold no word
of it. `owner` is the pseudonym under which the audit log knows a person.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from catalog.models import Base, UtcTime, now


class ConversationRow(Base):
    """One person's conversation; its id is random. Without a title until its first turn."""

    __tablename__ = "conversations"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(32))
    title: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcTime, default=now)
    updated_at: Mapped[datetime] = mapped_column(UtcTime, default=now)


class TurnRow(Base):
    """One question of a conversation and its answer, counted from 1; the audit records of both are `audit_id`."""

    __tablename__ = "turns"
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    audit_id: Mapped[str] = mapped_column(String(36))
    content: Mapped[bytes] = mapped_column(LargeBinary)
    asked_at: Mapped[datetime] = mapped_column(UtcTime, default=now)


class FeedbackRow(Base):
    """The last word of the person who asked on one answer; what they wrote beside it stands in the audit log alone."""

    __tablename__ = "feedback"
    __table_args__ = (CheckConstraint("verdict IN ('helpful', 'not_helpful')", name="verdict"),)
    audit_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    owner: Mapped[str] = mapped_column(String(32), index=True)
    verdict: Mapped[str] = mapped_column(String(11))
    commented: Mapped[bool] = mapped_column(default=False)
    given_at: Mapped[datetime] = mapped_column(UtcTime, default=now, index=True)


Index("ix_conversations_owner_updated_at", ConversationRow.owner, ConversationRow.updated_at)
