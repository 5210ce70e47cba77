"""Whose Slack account is whose: proved by a one-time code, never read off an e-mail address or a name."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from catalog.database import Catalog
from catalog.models import now
from catalog.slack import SlackCodeRow, SlackLinkRow
from core.errors import Conflict, WrongUsage
from core.principals import Grantee, GranteeKind, Principal
from governance.access.mirrored import disown_account, own_account
from governance.audit import AuditLog, Kind, new_audit_id

CODE_LIFETIME = timedelta(minutes=10)
# Crockford's base 32: nothing in it is mistaken for another letter. Sixteen of them are 80 random bits.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_GROUPS, _GROUP = 4, 4
_ID = re.compile(r"[A-Z0-9]{1,32}")
_SLICE = 500


@dataclass(frozen=True, order=True)
class SlackUser:
    """A Slack account: a workspace's id and a user's id in it."""

    team_id: str
    user_id: str

    def __str__(self) -> str:
        return f"slack:{self.team_id}:{self.user_id}"

    @property
    def grantee(self) -> Grantee:
        """The account, as the lists of a Slack that is a source name it."""
        return Grantee(GranteeKind.USER, f"slack:{self.team_id}", self.user_id)


@dataclass(frozen=True)
class LinkView:
    """One proved account."""

    account: SlackUser
    principal: Principal
    linked: datetime


@dataclass(frozen=True)
class SlackAccounts:
    """Links between Slack accounts and people; every change is on record before it is made.

    Raises `AuditUnavailable`, and changes nothing, without a record.
    """

    catalog: Catalog
    audit: AuditLog

    def code(self, principal: Principal, actor: str) -> str:
        """A new code for somebody who has signed in, instead of any earlier one; only its hash is kept.

        Whoever sends it from a Slack account within `CODE_LIFETIME` has shown that the account is theirs too.
        """
        groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
        code = "-".join(groups)
        self._record(principal, actor, "slack.code")
        with self.catalog.write() as session:
            expired = SlackCodeRow.expires_at <= now()
            session.execute(delete(SlackCodeRow).where(or_(expired, _is(SlackCodeRow, principal))))
            session.add(
                SlackCodeRow(
                    code_hash=_hash(code),
                    issuer=principal.issuer,
                    subject=principal.subject,
                    expires_at=now() + CODE_LIFETIME,
                )
            )
        return code

    def link(self, account: SlackUser, code: str) -> Principal:
        """Link the account to the person whose code this is, which is used up; returns the person.

        Raises `WrongUsage` for a code that is wrong, used or too old, and `Conflict` for an account that is
        somebody else's.
        """
        if not _ID.fullmatch(account.team_id) or not _ID.fullmatch(account.user_id):
            raise WrongUsage(f"{account} is no Slack account.")
        code_hash = _hash(code)
        principal = self._invited(code_hash)
        if principal is None:
            raise WrongUsage("This code is wrong, used or too old. Make a new one and send it within ten minutes.")
        self._record(principal, str(account), "slack.link", account=str(account))
        values = {
            "team_id": account.team_id,
            "user_id": account.user_id,
            "issuer": principal.issuer,
            "subject": principal.subject,
            "linked_at": now(),
        }
        with self.catalog.write() as session:
            # Deleted first: of two who send the same code, one finds it gone.
            used = delete(SlackCodeRow).where(SlackCodeRow.code_hash == code_hash).returning(SlackCodeRow.code_hash)
            if session.scalars(used).one_or_none() is None:
                raise WrongUsage("This code has just been used.")
            insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
            session.execute(insert(SlackLinkRow).values(**values).on_conflict_do_nothing())
            row = session.scalars(select(SlackLinkRow).where(_at(account))).one()
            if Principal(row.issuer, row.subject) != principal:
                # Whoever is talked into sending another's code would ask in their name, and be read by them.
                raise Conflict("This Slack account is linked to somebody else. Send `unlink` first, then the code.")
            # What the account may read in a Slack that is a source, its owner may read here.
            own_account(session, principal.grantee, account.grantee)
        return principal

    def spoil(self, code: str, actor: str) -> None:
        """End a code that others have seen; nothing happens if it is none."""
        principal = self._invited(_hash(code))
        if principal is not None:
            self._record(principal, actor, "slack.spoil")
            with self.catalog.write() as session:
                session.execute(delete(SlackCodeRow).where(SlackCodeRow.code_hash == _hash(code)))

    def unlink(self, account: SlackUser) -> bool:
        """End the link of one account; False where there was none."""
        principal = self.principal(account)
        if principal is None:
            return False
        self._record(principal, str(account), "slack.unlink", account=str(account))
        with self.catalog.write() as session:
            session.execute(delete(SlackLinkRow).where(_at(account)))
            disown_account(session, principal.grantee, account.grantee)
        return True

    def unlink_person(self, principal: Principal, actor: str) -> int:
        """End every link of a person, and their code; returns how many links there were."""
        self._record(principal, actor, "slack.unlink")
        with self.catalog.write() as session:
            session.execute(delete(SlackCodeRow).where(_is(SlackCodeRow, principal)))
            ended = delete(SlackLinkRow).where(_is(SlackLinkRow, principal))
            gone = session.execute(ended.returning(SlackLinkRow.team_id, SlackLinkRow.user_id)).all()
            for team_id, user_id in gone:
                disown_account(session, principal.grantee, SlackUser(team_id, user_id).grantee)
            return len(gone)

    def principal(self, account: SlackUser) -> Principal | None:
        """Whose account it is; None where nobody has proved it."""
        return self.principals(account.team_id, [account.user_id]).get(account.user_id)

    def principals(self, team_id: str, user_ids: Collection[str]) -> Mapping[str, Principal]:
        """Whose the accounts of one workspace are, as far as they are linked."""
        wanted = sorted(set(user_ids))
        found: dict[str, Principal] = {}
        for at in range(0, len(wanted), _SLICE):
            query = select(SlackLinkRow).where(
                SlackLinkRow.team_id == team_id, SlackLinkRow.user_id.in_(wanted[at : at + _SLICE])
            )
            with self.catalog.read() as session:
                found |= {row.user_id: Principal(row.issuer, row.subject) for row in session.scalars(query)}
        return found

    def links(self) -> list[LinkView]:
        """Everybody's links, by account."""
        query = select(SlackLinkRow).order_by(SlackLinkRow.team_id, SlackLinkRow.user_id)
        with self.catalog.read() as session:
            return [_view(row) for row in session.scalars(query)]

    def links_of(self, principal: Principal) -> list[LinkView]:
        """The links of one person, by account."""
        return [view for view in self.links() if view.principal == principal]

    def _invited(self, code_hash: str) -> Principal | None:
        with self.catalog.read() as session:
            row = session.get(SlackCodeRow, code_hash)
            return Principal(row.issuer, row.subject) if row and row.expires_at > now() else None

    def _record(self, principal: Principal, actor: str, action: str, **facts: str) -> None:
        self.audit.append(Kind.ADMIN, principal, {"action": action, "actor": actor, **facts}, new_audit_id())


def _is(row: type[SlackCodeRow] | type[SlackLinkRow], principal: Principal) -> ColumnElement[bool]:
    return and_(row.issuer == principal.issuer, row.subject == principal.subject)


def _at(account: SlackUser) -> ColumnElement[bool]:
    return and_(SlackLinkRow.team_id == account.team_id, SlackLinkRow.user_id == account.user_id)


def _view(row: SlackLinkRow) -> LinkView:
    return LinkView(SlackUser(row.team_id, row.user_id), Principal(row.issuer, row.subject), row.linked_at)


def _hash(code: str) -> str:
    # The code has 80 random bits and ten minutes, so a plain hash cannot be searched in time.
    letters = code.upper().replace("-", "").strip()
    return hashlib.sha256(letters.encode("utf-8", "surrogatepass")).hexdigest()
