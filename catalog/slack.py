"""Which Slack account belongs to which principal, which deliveries were taken, and which thread is which conversation.

No row holds a word of a question or of an answer.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from catalog.models import Base, UtcTime, now


class SlackLinkRow(Base):
    """A Slack account that its owner has proved to be theirs; a person may have several."""

    __tablename__ = "slack_links"
    team_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    linked_at: Mapped[datetime] = mapped_column(UtcTime, default=now)


class SlackCodeRow(Base):
    """A code that links a Slack account once, as a hash; a person has one at a time."""

    __tablename__ = "slack_codes"
    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    expires_at: Mapped[datetime] = mapped_column(UtcTime)


class SlackDeliveryRow(Base):
    """Something Slack delivered, or a person pressed, that is to be done once.

    `holder` is the token of whoever works on it until `lease_until`; `settled` once its effect is on its way.
    """

    __tablename__ = "slack_deliveries"
    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    holder: Mapped[str] = mapped_column(String(32))
    lease_until: Mapped[datetime] = mapped_column(UtcTime)
    settled: Mapped[bool] = mapped_column(default=False)
    taken_at: Mapped[datetime] = mapped_column(UtcTime, default=now, index=True)


class SlackThreadRow(Base):
    """The conversation that a thread of direct messages is."""

    __tablename__ = "slack_threads"
    team_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    channel_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    thread_ts: Mapped[str] = mapped_column(String(32), primary_key=True)
    conversation_id: Mapped[str] = mapped_column(String(32))
    began_at: Mapped[datetime] = mapped_column(UtcTime, default=now)


Index("ix_slack_links_issuer_subject", SlackLinkRow.issuer, SlackLinkRow.subject)
Index("ix_slack_codes_issuer_subject", SlackCodeRow.issuer, SlackCodeRow.subject)
