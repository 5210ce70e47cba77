"""Conversations: each person's own, encrypted with their key, their answers shown only while they may be."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from catalog.conversations import ConversationRow, TurnRow
from catalog.database import Catalog
from catalog.models import now
from core.answers import Answer
from core.errors import NotFound
from core.principals import Principal
from governance.audit import AuditLog, Kind, new_audit_id
from governance.doors import Gate
from governance.sealing import Sealing

MOST = 200
"""How many conversations are listed, and how many turns of one are shown: the newest."""

_TITLE_CHARACTERS = 80
# What is no id of ours never reaches a database, which may refuse its characters in words of its own.
_ID = re.compile(r"[0-9a-f]{32}")
_ANSWER = TypeAdapter(Answer)


@dataclass(frozen=True)
class ConversationView:
    """One conversation as it is listed. The title is the beginning of its first question; empty once erased."""

    conversation_id: str
    title: str
    created: datetime
    updated: datetime


@dataclass(frozen=True)
class Turn:
    """One question and its answer.

    `answer` is None while its owner may not read all that it cites or names, or no longer finds the cited text where
    it was. `question` is empty once the owner's key has been destroyed.
    """

    audit_id: str
    asked: datetime
    question: str
    answer: Answer | None


@dataclass(frozen=True)
class Conversations:
    """The conversations of every person, each for its owner alone; somebody else's looks like none.

    Raises `NotFound` for what is absent or not theirs, and `AuditUnavailable` where text would leave without record.
    """

    catalog: Catalog
    sealing: Sealing
    gate: Gate
    audit: AuditLog

    def create(self, principal: Principal) -> str:
        """Begin a conversation; its id."""
        owner, conversation_id = self.sealing.owner(principal), secrets.token_hex(16)
        with self.catalog.write() as session:
            session.add(ConversationRow(id=conversation_id, owner=owner))
        return conversation_id

    def listed(self, principal: Principal) -> list[ConversationView]:
        """Those in which something was asked, the one asked in last first."""
        owner = self.sealing.owner(principal)
        query = (
            select(ConversationRow)
            .where(ConversationRow.owner == owner, ConversationRow.title.is_not(None))
            .order_by(ConversationRow.updated_at.desc(), ConversationRow.id)
            .limit(MOST)
        )
        with self.catalog.read() as session:
            return [self._view(row) for row in session.scalars(query)]

    def open(self, principal: Principal, conversation_id: str, actor: str) -> tuple[ConversationView, Sequence[Turn]]:
        """One conversation and its turns, oldest first, as they may be shown now; on record before it is."""
        audit_id = new_audit_id()
        asked = {"action": "open conversation", "conversation_id": conversation_id, "actor": actor}
        self.audit.append(Kind.INTENT, principal, asked, audit_id)
        owner = self.sealing.owner(principal)
        with self.catalog.read() as session:
            view = self._view(_owned(session, owner, conversation_id))
        turns = self.turns(principal, conversation_id, MOST)
        shown = {
            "shown": [turn.audit_id for turn in turns if turn.answer],
            "withheld": [turn.audit_id for turn in turns if not turn.answer],
        }
        self.audit.append(Kind.EVIDENCE, principal, shown, audit_id)
        return view, turns

    def turns(self, principal: Principal, conversation_id: str, last: int) -> Sequence[Turn]:
        """The last turns, oldest first, each answer looked at with its owner's rights of this moment."""
        owner = self.sealing.owner(principal)
        query = (
            select(TurnRow)
            .where(TurnRow.conversation_id == conversation_id)
            .order_by(TurnRow.ordinal.desc())
            .limit(last)
        )
        with self.catalog.read() as session:
            _owned(session, owner, conversation_id)
            rows = session.scalars(query).all()
        look = Look(self.gate, principal)
        return [self._turn(row, owner, look) for row in reversed(rows)]

    def add(self, principal: Principal, conversation_id: str, answer: Answer) -> bool:
        """Keep one more turn; False where the conversation was deleted while the answer was made.

        The rewritten question is not kept: it may tell of an earlier answer that is withheld later.
        """
        owner = self.sealing.owner(principal)
        answer = replace(answer, rewritten_question=None)
        content = self.sealing.seal(owner, ("turn", conversation_id, answer.audit_id), _ANSWER.dump_json(answer))
        title = answer.question[:_TITLE_CHARACTERS].encode()
        sealed_title = self.sealing.seal(owner, ("title", conversation_id), title)
        with self.catalog.write() as session:
            try:
                row = _owned(session, owner, conversation_id, for_update=True)
            except NotFound:
                return False
            row.title = row.title or sealed_title
            row.updated_at = now()
            newest = select(func.max(TurnRow.ordinal)).where(TurnRow.conversation_id == conversation_id)
            ordinal = (session.scalars(newest).one() or 0) + 1
            turn = TurnRow(conversation_id=conversation_id, ordinal=ordinal, audit_id=answer.audit_id, content=content)
            session.add(turn)
        return True

    def delete(self, principal: Principal, conversation_id: str, actor: str) -> None:
        """Delete a conversation with its turns; the audit records of its answers stay."""
        owner = self.sealing.owner(principal)
        with self.catalog.read() as session:
            _owned(session, owner, conversation_id)
        deleted = {"action": "delete conversation", "conversation_id": conversation_id, "actor": actor}
        self.audit.append(Kind.INTENT, principal, deleted, new_audit_id())
        with self.catalog.write() as session:
            row = _owned(session, owner, conversation_id, for_update=True)
            session.execute(delete(TurnRow).where(TurnRow.conversation_id == conversation_id))
            session.delete(row)

    def _view(self, row: ConversationRow) -> ConversationView:
        title = self.sealing.open(row.owner, ("title", row.id), row.title or b"")
        return ConversationView(row.id, (title or b"").decode(), row.created_at, row.updated_at)

    def _turn(self, row: TurnRow, owner: str, look: Look) -> Turn:
        content = self.sealing.open(owner, ("turn", row.conversation_id, row.audit_id), row.content)
        if content is None:
            return Turn(row.audit_id, row.asked_at, "", None)
        answer = _ANSWER.validate_json(content)
        return Turn(row.audit_id, row.asked_at, answer.question, answer if look.still_shows(answer) else None)


@dataclass(frozen=True)
class Look:
    """One look at what a person may read now; each document is read once, in a transaction of its own."""

    gate: Gate
    principal: Principal
    seen: dict[str, str | None] = field(default_factory=dict)

    def still_shows(self, answer: Answer) -> bool:
        """Whether they may read every document that the answer cites or names, and see each quote where it was."""
        for document_id in {near.document_id for near in answer.nearest}:
            if self._text(document_id) is None:
                return False
        for citation in answer.citations:
            text = self._text(citation.document_id)
            if text is None or text[citation.start : citation.end] != citation.quote:
                return False
        return True

    def _text(self, document_id: str) -> str | None:
        if document_id not in self.seen:
            try:
                self.seen[document_id] = self.gate.text(self.principal, document_id)[1]
            except NotFound:
                self.seen[document_id] = None
        return self.seen[document_id]


def _owned(session: Session, owner: str, conversation_id: str, *, for_update: bool = False) -> ConversationRow:
    query = select(ConversationRow).where(ConversationRow.id == conversation_id, ConversationRow.owner == owner)
    query = query.with_for_update() if for_update else query
    row = session.scalars(query).one_or_none() if _ID.fullmatch(conversation_id) else None
    if row is None:
        raise NotFound("conversation", conversation_id)
    return row
