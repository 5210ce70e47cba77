"""Why somebody may or may not read a document: the decision, taken apart into the rules that made it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog.models import Document, GranteeRow
from core.errors import NotFound
from core.principals import Grantee, GranteeKind, Principal
from governance.access.membership import asking, held_grantees
from governance.access.sets import READABLE_SETS, containers, grants_over, lists_of


@dataclass(frozen=True)
class Explanation:
    """`allowed` is what the gate decides; `rule` names what decided it, `through` what the grantee is that it names."""

    grantee: str
    document_id: str
    allowed: bool
    rule: str
    through: tuple[str, ...]
    allow: tuple[str, ...]
    deny: tuple[str, ...]


def explain(session: Session, grantee: Grantee, document_id: str) -> Explanation:
    """The decision on one grantee and one document that is not deleted; raises `NotFound`.

    For a person it is the gate's own statement that decides; for a group, its membership alone.
    """
    document = session.get(Document, document_id)
    if document is None or document.state == "deleted":
        raise NotFound("document", document_id)
    lists, by_hand = lists_of(session, document.access_set_id), grants_over(session, document_id)
    mine = _held(session, grantee)
    denying, allowing = sorted(lists.deny & mine), sorted(lists.allow & mine)
    if denying:
        rule, through = _rule("deny", denying, by_hand.deny, document.rule), denying
    elif allowing:
        rule, through = _rule("allow", allowing, by_hand.allow, document.rule), allowing
    else:
        rule, through = f"{document.rule}: allows nothing that {grantee} is", []
    if _inactive(session, grantee):
        rule = f"{grantee} is not active"
    return Explanation(
        grantee=str(grantee),
        document_id=document_id,
        allowed=_decided(session, grantee, document, bool(allowing) and not denying),
        rule=rule,
        through=tuple(map(str, through)),
        allow=tuple(sorted(map(str, lists.allow))),
        deny=tuple(sorted(map(str, lists.deny))),
    )


def _held(session: Session, grantee: Grantee) -> frozenset[Grantee]:
    if grantee.kind is GranteeKind.USER:
        return frozenset(held_grantees(session, Principal(grantee.issuer, grantee.subject))) | {grantee}
    return containers(session, grantee)


def _rule(effect: str, named: list[Grantee], by_hand: frozenset[Grantee], source_rule: str) -> str:
    hand = [grantee for grantee in named if grantee in by_hand]
    if hand:
        return f"{'granted' if effect == 'allow' else 'revoked'} by hand: {effect} {hand[0]}"
    return f"{source_rule}: {effect} {named[0]}"


def _decided(session: Session, grantee: Grantee, document: Document, by_lists: bool) -> bool:
    if grantee.kind is not GranteeKind.USER:
        return by_lists
    principal = Principal(grantee.issuer, grantee.subject)
    return document.access_set_id in session.scalars(READABLE_SETS, asking(principal)).all()


def _inactive(session: Session, grantee: Grantee) -> bool:
    query = select(GranteeRow.active).where(
        GranteeRow.kind == grantee.kind.value,
        GranteeRow.issuer == grantee.issuer,
        GranteeRow.subject == grantee.subject,
    )
    return session.scalar(query) is False
