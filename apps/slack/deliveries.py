"""What is to be done once, however often Slack delivers it and whatever dies half-way."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import and_, delete, update
from sqlalchemy.dialects import postgresql, sqlite

from catalog.database import Catalog
from catalog.models import now
from catalog.slack import SlackDeliveryRow

LEASE = timedelta(seconds=60)
"""How long a delivery stays with whoever took it: when it is over, the next delivery of the same may be worked on."""
KEPT = timedelta(days=1)
"""Slack delivers an event again for minutes, and a signed request is refused after five: a day is plenty."""


@dataclass(frozen=True)
class Claim:
    """The right to work on one delivery, until the lease ends or somebody else takes it over."""

    delivery_id: str
    holder: str


@dataclass(frozen=True)
class Deliveries:
    """A table shared by every process of the bot, so that what reaches two of them is done by one.

    Work has two parts: what may be repeated, and its effect, which may not. `claim` comes before the first, `settle`
    before the second. A process that dies in the first leaves the delivery to the next one; one that dies in the
    second is not repeated, because nobody knows how far it came.
    """

    catalog: Catalog
    lease: timedelta = LEASE

    def claim(self, delivery_id: str) -> Claim | None:
        """The right to work on it; None while another has it and once it is settled."""
        claim = Claim(delivery_id, secrets.token_hex(16))
        until = now() + self.lease
        with self.catalog.write() as session:
            session.execute(delete(SlackDeliveryRow).where(SlackDeliveryRow.taken_at < now() - KEPT))
            insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
            values = {"holder": claim.holder, "lease_until": until, "settled": False, "taken_at": now()}
            taken = (
                insert(SlackDeliveryRow)
                .values(id=delivery_id, **values)
                .on_conflict_do_update(
                    index_elements=[SlackDeliveryRow.id],
                    set_={"holder": claim.holder, "lease_until": until},
                    where=and_(SlackDeliveryRow.settled.is_(False), SlackDeliveryRow.lease_until <= now()),
                )
                .returning(SlackDeliveryRow.id)
            )
            return claim if session.scalars(taken).one_or_none() else None

    def is_settled(self, delivery_id: str) -> bool:
        with self.catalog.read() as session:
            row = session.get(SlackDeliveryRow, delivery_id)
            return row is not None and row.settled

    def settle(self, claim: Claim) -> bool:
        """Say that its effect comes now; False where another has taken it over, who will have that effect instead."""
        mine = and_(SlackDeliveryRow.id == claim.delivery_id, SlackDeliveryRow.holder == claim.holder)
        settled = update(SlackDeliveryRow).where(mine).values(settled=True).returning(SlackDeliveryRow.id)
        with self.catalog.write() as session:
            return session.scalars(settled).one_or_none() is not None

    def release(self, claim: Claim) -> None:
        """Give it back: it was not done, and may be asked for again."""
        mine = and_(SlackDeliveryRow.id == claim.delivery_id, SlackDeliveryRow.holder == claim.holder)
        with self.catalog.write() as session:
            session.execute(delete(SlackDeliveryRow).where(mine))
