"""Sharing an answer with a channel: only what every member may read, looked at in this moment, and on record."""

from __future__ import annotations

from dataclasses import dataclass

from apps.slack.blocks import Shareable, shared_blocks
from apps.slack.client import Slack, SlackRefused
from apps.slack.deliveries import Deliveries
from core.answers import Answer
from core.errors import FootnoteError, NotFound
from core.principals import Principal
from governance.audience import Audience, AudienceCheck, documents_of
from governance.audit import AuditLog, Kind, new_audit_id
from governance.conversations import MOST, Conversations
from governance.slack_accounts import SlackAccounts, SlackUser

MOST_MEMBERS = 1_000
"""Each member's rights are looked up, so a larger channel is refused."""
_NOTICE = "An answer from Footnote."

FOREIGN = "Not shared: people of another organization are in this channel."
ARCHIVED = "Not shared: this channel is archived."
LARGE = f"Not shared: the channel has more than {MOST_MEMBERS:,} members."
NOT_A_MEMBER = "Not shared: you are not in this channel."
GONE = "Not shared: the answer is gone, or you may not read all of it any more."
ALREADY = "This answer has been shared there already."
SHARED = "Shared."
WITHHELD = "Not shared: not everybody in the channel may read everything that this answer cites."


@dataclass(frozen=True)
class _Room:
    """Who would see what is shared: the linked people, and how many others."""

    people: frozenset[Principal] = frozenset()
    unlinked: int = 0
    refusal: str | None = None


@dataclass(frozen=True)
class Sharing:
    """Posts an answer of the sharer's own in the channel where it was asked, once, or says why not.

    Unlinked members count as strangers, of whom anything may be true. A refusal names neither document nor member.
    """

    slack: Slack
    accounts: SlackAccounts
    conversations: Conversations
    check: AudienceCheck
    audit: AuditLog
    deliveries: Deliveries
    public_url: str
    bot_user: str
    most_members: int = MOST_MEMBERS

    def share(self, account: SlackUser, principal: Principal, shareable: Shareable) -> str:
        """Share it; returns what to tell the sharer. Raises `SlackRefused` and `AuditUnavailable`."""
        claim = self.deliveries.claim(f"share:{shareable.audit_id}:{shareable.channel}")
        if claim is None:
            return ALREADY
        try:
            answer, refusal = self._decided(account, principal, shareable)
        except FootnoteError:
            self.deliveries.release(claim)
            raise
        if answer is None or refusal:
            self.deliveries.release(claim)
            return refusal or GONE
        if not self.deliveries.settle(claim):
            return ALREADY
        blocks = shared_blocks(answer, self.public_url, account.user_id)
        try:
            self.slack.post(shareable.channel, _NOTICE, blocks, shareable.thread_ts)
        except SlackRefused as error:
            if error.nothing_done:
                self.deliveries.release(claim)
            raise
        return SHARED

    def _decided(
        self, account: SlackUser, principal: Principal, shareable: Shareable
    ) -> tuple[Answer | None, str | None]:
        """The answer and why it may not be shared; both the wish and the decision are on record."""
        audit_id, channel = new_audit_id(), f"slack:{account.team_id}:{shareable.channel}"
        wish = {"action": "share", "answer": shareable.audit_id, "channel": channel, "actor": str(account)}
        self.audit.append(Kind.INTENT, principal, wish, audit_id)
        answer = self._own(principal, shareable)
        room = self._room(account, shareable.channel)
        refusal = room.refusal or self._refusal(answer, room)
        decision = {
            "shared": refusal is None,
            "refusal": refusal,
            "members": sorted(map(str, room.people)),
            "unlinked": room.unlinked,
            "documents": sorted(documents_of(answer)) if answer else [],
        }
        self.audit.append(Kind.EVIDENCE, principal, decision, audit_id)
        return answer, refusal

    def _own(self, principal: Principal, shareable: Shareable) -> Answer | None:
        """The answer, while its owner may still be shown it."""
        try:
            turns = self.conversations.turns(principal, shareable.conversation_id, MOST)
        except NotFound:
            return None
        return next((turn.answer for turn in turns if turn.audit_id == shareable.audit_id), None)

    def _room(self, account: SlackUser, channel: str) -> _Room:
        found = self.slack.channel(channel)
        if found.foreign or found.archived:
            return _Room(refusal=FOREIGN if found.foreign else ARCHIVED)
        users = self.slack.members(channel, self.most_members)
        if users is None:
            return _Room(refusal=LARGE)
        others = set(users) - {self.bot_user}
        known = self.accounts.principals(account.team_id, others)
        refusal = None if account.user_id in others else NOT_A_MEMBER
        return _Room(frozenset(known.values()), len(others) - len(known), refusal)

    def _refusal(self, answer: Answer | None, room: _Room) -> str | None:
        if answer is None or answer.abstained:
            return GONE
        may = self.check.may_be_shown(answer, Audience(room.people, strangers=room.unlinked > 0))
        return None if may else WITHHELD
