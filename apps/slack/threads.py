"""Threads of direct messages are conversations: what is asked in one may lean on what was asked there before."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.dialects import postgresql, sqlite

from apps.slack.incoming import Place
from catalog.database import Catalog
from catalog.models import now
from catalog.slack import SlackThreadRow


@dataclass(frozen=True)
class Threads:
    """Which conversation a thread is; whose it is, the conversation knows itself."""

    catalog: Catalog

    def conversation(self, team_id: str, place: Place) -> str | None:
        """The conversation of the thread that a message stands in."""
        with self.catalog.read() as session:
            row = session.get(SlackThreadRow, (team_id, place.channel, place.thread_ts))
            return row.conversation_id if row else None

    def keep(self, team_id: str, channel: str, thread_ts: str, conversation_id: str) -> None:
        """Say that this thread is that conversation from now on."""
        values = {"conversation_id": conversation_id, "began_at": now()}
        with self.catalog.write() as session:
            insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
            thread = insert(SlackThreadRow).values(team_id=team_id, channel_id=channel, thread_ts=thread_ts, **values)
            key = [SlackThreadRow.team_id, SlackThreadRow.channel_id, SlackThreadRow.thread_ts]
            session.execute(thread.on_conflict_do_update(index_elements=key, set_=values))
