"""A question from Slack, answered to the person who asked and to nobody else."""

from __future__ import annotations

from dataclasses import dataclass

from apps.slack.blocks import Shareable, answer_blocks, buttons, plain, question_blocks
from apps.slack.client import Slack
from apps.slack.deliveries import Claim, Deliveries
from apps.slack.incoming import Said
from apps.slack.linking import HELP, HOW_TO_LINK, Linking
from apps.slack.threads import Threads
from core.answers import Answer
from core.errors import NotFound
from core.principals import Principal
from generation.conversation.service import ConversationService
from governance.conversations import Conversations
from governance.slack_accounts import SlackAccounts

_NOTICE = "Footnote has an answer for you."
WORD = "A word from Footnote."
"""What a notification shows of anything that is no answer; it too holds nothing that somebody wrote."""
POINTER = "I have answered you in a direct message."
FOREIGN = "I answer nothing where people of another organization are. Ask me in a direct message."


@dataclass(frozen=True)
class Answering:
    """Answers what was said, once: whoever asks is who their account is linked to, and their rights decide."""

    slack: Slack
    accounts: SlackAccounts
    linking: Linking
    conversing: ConversationService
    conversations: Conversations
    threads: Threads
    deliveries: Deliveries
    public_url: str

    def answer(self, said: Said, claim: Claim) -> None:
        """Do what was said. Raises what asking raises, and `SlackRefused`; nothing has been shown then."""
        if not self._is_ours(said):
            self.deliveries.settle(claim)
            return
        if self.slack.channel(said.place.channel).foreign:
            self.tell_once(said, claim, FOREIGN)
            return
        reply = self.linking.reply(said)
        principal = self.accounts.principal(said.account)
        if reply or principal is None or not said.text:
            self.tell_once(said, claim, reply or (HELP if principal else HOW_TO_LINK))
            return
        answer, conversation_id = self._asked(said, principal)
        if self.deliveries.settle(claim):
            self._deliver(said, answer, conversation_id)

    def tell_once(self, said: Said, claim: Claim, words: str) -> None:
        """Reply to the person alone, unless another process has taken the delivery over."""
        if self.deliveries.settle(claim):
            self.tell(said, words)

    def tell(self, said: Said, words: str) -> None:
        """Words for the person alone: in the thread of a direct message, or in the channel for their eyes only."""
        place, thread_ts = said.place, said.place.thread_ts
        if place.direct:
            self.slack.post(place.channel, WORD, plain(words), thread_ts)
        else:
            inside = thread_ts if thread_ts != place.ts else None
            self.slack.whisper(place.channel, said.account.user_id, WORD, plain(words), inside)

    def _is_ours(self, said: Said) -> bool:
        """Whether it is a person of this very workspace; others are not even told anything."""
        member = self.slack.member(said.account.user_id)
        return member.person and member.team_id == said.account.team_id

    def _asked(self, said: Said, principal: Principal) -> tuple[Answer, str]:
        """The answer, as the next turn of the thread's conversation, or the first of a new one."""
        actor = str(said.account)
        known = self.threads.conversation(said.account.team_id, said.place) if said.place.direct else None
        if known:
            try:
                return self.conversing.ask(said.text, principal, actor, known), known
            except NotFound:
                pass  # deleted, or of whoever the account was linked to before
        new = self.conversations.create(principal)
        return self.conversing.ask(said.text, principal, actor, new), new

    def _deliver(self, said: Said, answer: Answer, conversation_id: str) -> None:
        place, team_id = said.place, said.account.team_id
        if place.direct:
            channel, top, shareable = place.channel, place.thread_ts, None
        else:
            channel = self.slack.direct_channel(said.account.user_id)
            top = self.slack.post(channel, _NOTICE, question_blocks(said.text, place.channel))
            shareable = Shareable(conversation_id, answer.audit_id, place.channel, place.thread_ts)
        self.threads.keep(team_id, channel, top, conversation_id)
        blocks = [*answer_blocks(answer, self.public_url), *buttons(answer, shareable)]
        self.slack.post(channel, _NOTICE, blocks, top)
        if not place.direct:
            self.tell(said, POINTER)
