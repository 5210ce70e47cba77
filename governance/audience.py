"""What a whole audience may be shown: an answer, looked at with the rights of every one of them at this moment."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select

from catalog.database import Catalog
from catalog.models import Document
from core.answers import Answer
from core.principals import EVERYONE, Principal
from governance.access.rules import AccessLists
from governance.access.sets import lists_of
from governance.conversations import Look
from governance.doors import Gate

STRANGER = Principal("stranger", "stranger")
"""Somebody in an audience of whom nobody knows who they are: only everyone."""


@dataclass(frozen=True)
class Audience:
    """People who are to see one thing together. `strangers`: there are some among them whom nobody knows."""

    members: Collection[Principal]
    strangers: bool


@dataclass(frozen=True)
class AudienceCheck:
    """Decides for the whole audience by asking the gate for each; nobody counts as harmless."""

    catalog: Catalog
    gate: Gate

    def may_be_shown(self, answer: Answer, audience: Audience) -> bool:
        """Whether every member may read every document the answer cites or names, and sees each quote as it stands.

        A stranger may be anybody, somebody whom a document denies by name too: for them a document must be allowed
        to everyone and denied to nobody.
        """
        if audience.strangers and not all(self._open_to_all(document_id) for document_id in documents_of(answer)):
            return False
        people = {*audience.members, STRANGER} if audience.strangers else {*audience.members}
        return bool(people) and all(Look(self.gate, one).still_shows(answer) for one in sorted(people))

    def _open_to_all(self, document_id: str) -> bool:
        query = select(Document.access_set_id).where(Document.id == document_id, Document.state != "deleted")
        with self.catalog.read() as session:
            access_set_id = session.scalar(query)
            lists = lists_of(session, access_set_id) if access_set_id is not None else AccessLists()
        return EVERYONE in lists.allow and not lists.deny


def documents_of(answer: Answer) -> frozenset[str]:
    """The ids of the documents that an answer cites or names."""
    cited = {citation.document_id for citation in answer.citations}
    return frozenset(cited | {near.document_id for near in answer.nearest})
