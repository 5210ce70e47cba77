"""Access sets: distinct pairs of allow and deny lists, shared by documents, and the grants laid over them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache, partial

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from catalog.database import bump_epoch
from catalog.models import AccessEntry, AccessSet, Document, Grant, GranteeRow, Membership
from core.attachments import carrier
from core.errors import NotFound
from core.principals import EVERYONE, Grantee
from governance.access.membership import HELD, as_grantee, intern
from governance.access.rules import AccessLists


def _readable_sets() -> Select[int]:
    named = select(AccessEntry.access_set_id).where(AccessEntry.grantee_id.in_(select(HELD.c.id)))
    # An entry allows or denies, so what names them and never denies them allows them.
    denied = named.where(AccessEntry.effect == "deny")
    return named.where(AccessEntry.access_set_id.not_in(denied)).distinct()


READABLE_SETS = _readable_sets()
"""The ids of the access sets that let somebody read: those that name something they are and deny none of it.

Every access decision is this statement, or a part of a statement that contains it, run with `asking(principal)`. What
may be ranked (`readable.py`) is the same computed in memory, and decides nothing about text.
"""


def lists_digest(lists: AccessLists) -> str:
    """SHA-256 of the two lists, whatever their order: equal lists are one access set."""
    entries = sorted([("allow", str(g)) for g in lists.allow] + [("deny", str(g)) for g in lists.deny])
    return hashlib.sha256("\n".join(f"{effect} {name}" for effect, name in entries).encode()).hexdigest()


def intern_lists(session: Session, lists: AccessLists) -> int:
    """The id of the access set with exactly these lists, created on first use."""
    digest = lists_digest(lists)
    found = session.scalar(select(AccessSet.id).where(AccessSet.digest == digest))
    if found is not None:
        return found
    row = AccessSet(digest=digest)
    session.add(row)
    session.flush()
    for effect, grantees in (("allow", lists.allow), ("deny", lists.deny)):
        for grantee in sorted(grantees):
            session.add(AccessEntry(access_set_id=row.id, grantee_id=intern(session, grantee), effect=effect))
    session.flush()
    return row.id


def lists_of(session: Session, access_set_id: int) -> AccessLists:
    """The lists an access set stands for."""
    rows = session.execute(
        select(AccessEntry.effect, GranteeRow)
        .join(GranteeRow, GranteeRow.id == AccessEntry.grantee_id)
        .where(AccessEntry.access_set_id == access_set_id)
    ).all()
    return _lists((effect, as_grantee(row)) for effect, row in rows)


def narrower(session: Session, before: AccessLists, after: AccessLists) -> AccessLists:
    """Lists that let nobody in whom either of these two keeps out; `after` itself where it lets nobody in anew.

    What a list names stays where, as groups are now, it is or belongs to something that the other names. Two groups of
    which neither is in the other have no such part: whoever is in both is kept out too. Call within a writing
    transaction.
    """
    held = cache(partial(containers, session))

    def within(grantee: Grantee, named: frozenset[Grantee]) -> bool:
        return grantee in named or EVERYONE in named or bool(named and held(grantee) & named)

    still = {grantee for grantee in after.allow if within(grantee, before.allow)}
    kept = {
        grantee for grantee in before.allow if within(grantee, after.allow) and not within(grantee, frozenset(still))
    }
    return AccessLists(frozenset(still | kept), before.deny | after.deny)


def grants_of(session: Session, document_id: str) -> AccessLists:
    """The grants and revocations made by hand on one document."""
    rows = session.execute(
        select(Grant.effect, GranteeRow)
        .join(GranteeRow, GranteeRow.id == Grant.grantee_id)
        .where(Grant.document_id == document_id)
    ).all()
    return _lists((effect, as_grantee(row)) for effect, row in rows)


def grants_over(session: Session, document_id: str) -> AccessLists:
    """The grants and revocations made by hand that hold for a document: its own, and those on what carries it."""
    document = session.get_one(Document, document_id)
    above = carrier(document)
    query = select(Document.id).where(Document.source_id == document.source_id, Document.external_id == above)
    ids = [document_id, *(session.scalars(query) if above is not None else ())]
    lists = [grants_of(session, one) for one in ids]
    return AccessLists(
        frozenset().union(*(one.allow for one in lists)), frozenset().union(*(one.deny for one in lists))
    )


def carried_by(session: Session, document: Document) -> list[Document]:
    """The attachments of a document that are not deleted."""
    query = select(Document).where(
        Document.source_id == document.source_id,
        Document.external_id.startswith(f"{document.external_id}/", autoescape=True),
        Document.state != "deleted",
    )
    return [one for one in session.scalars(query) if carrier(one) == document.external_id]


def effective_set(session: Session, document_id: str, source_set_id: int) -> int:
    """The id of the access set that holds once a document's grants are laid over its source's rules."""
    by_hand = grants_over(session, document_id)
    if not by_hand.allow and not by_hand.deny:
        return source_set_id
    source = lists_of(session, source_set_id)
    return intern_lists(session, AccessLists(source.allow | by_hand.allow, source.deny | by_hand.deny))


def grant(session: Session, grantee: Grantee, document_id: str) -> Document:
    """Let a grantee read a document. A deny of the source's rules still wins.

    An earlier revocation is taken back, which is enough where other lists let the grantee in; otherwise the grant is
    kept, whatever the source's rules say now or later. Raises `NotFound`. Call within a writing transaction.
    """
    document = _existing(session, document_id)
    if grantee in grants_of(session, document_id).deny:
        _lay(session, document, grantee, None)
        if _lets_in(session, document, grantee):
            return document
    return _lay(session, document, grantee, "allow")


def revoke(session: Session, grantee: Grantee, document_id: str) -> Document:
    """Take a document from a grantee: the grant goes, and where others' lists still let them in, a deny is added.

    Raises `NotFound`. Call within a writing transaction.
    """
    document = _existing(session, document_id)
    _lay(session, document, grantee, None)
    if _lets_in(session, document, grantee):
        _lay(session, document, grantee, "deny")
    return document


def containers(session: Session, grantee: Grantee) -> frozenset[Grantee]:
    """A grantee and everything it belongs to at any depth, everyone included."""
    start = select(GranteeRow.id.label("id")).where(GranteeRow.id == intern(session, grantee))
    above = start.cte("above", recursive=True)
    above = above.union(select(Membership.group_id).join(above, Membership.member_id == above.c.id))
    rows = session.scalars(select(GranteeRow).where(GranteeRow.id.in_(select(above.c.id))))
    return frozenset({as_grantee(row) for row in rows} | {EVERYONE})


def _lay(session: Session, document: Document, grantee: Grantee, effect: str | None) -> Document:
    """Make `effect` the only hand-made word on this grantee and document; None leaves the source's rules alone.

    It holds for what the document carries too.
    """
    epoch = bump_epoch(session)
    grantee_id = intern(session, grantee)
    session.execute(delete(Grant).where(Grant.document_id == document.id, Grant.grantee_id == grantee_id))
    if effect:
        session.add(Grant(document_id=document.id, grantee_id=grantee_id, effect=effect))
    session.flush()
    for concerned in (document, *carried_by(session, document)):
        concerned.access_set_id = effective_set(session, concerned.id, concerned.source_set_id)
        concerned.changed_epoch = epoch
    session.flush()
    return document


def _lets_in(session: Session, document: Document, grantee: Grantee) -> bool:
    return bool(lists_of(session, document.access_set_id).allow & containers(session, grantee))


def _existing(session: Session, document_id: str) -> Document:
    document = session.get(Document, document_id)
    if document is None or document.state == "deleted":
        raise NotFound("document", document_id)
    return document


def _lists(rows: Iterable[tuple[str, Grantee]]) -> AccessLists:
    entries = list(rows)
    return AccessLists(
        frozenset(grantee for effect, grantee in entries if effect == "allow"),
        frozenset(grantee for effect, grantee in entries if effect == "deny"),
    )
