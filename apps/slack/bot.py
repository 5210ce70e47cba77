"""The bot of one home: what Slack delivers in, and what is done about it, taken once and worked on behind the ack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from structlog.typing import FilteringBoundLogger

from apps.slack.answering import WORD, Answering
from apps.slack.blocks import HELPFUL, NOT_HELPFUL, SHARE, parse_shareable, plain
from apps.slack.client import Slack
from apps.slack.deliveries import Claim, Deliveries
from apps.slack.incoming import Pressed, Said, pressed, said
from apps.slack.linking import HOW_TO_LINK
from apps.slack.pool import Pool
from apps.slack.sharing import Sharing
from core.errors import FootnoteError, LimitExceeded, NotFound, WrongUsage
from core.principals import Principal
from governance.feedback import Feedback, Verdict
from governance.slack_accounts import SlackAccounts

BUSY = "Too many questions wait for me right now. Ask again in a minute."
FAILED = "I could not answer this now. Ask again in a moment; if it stays so, tell your administrator."
THANKS = "Thank you."
_VERDICTS: Mapping[str, Verdict] = {HELPFUL: "helpful", NOT_HELPFUL: "not_helpful"}


@dataclass(frozen=True)
class Bot:
    """Takes Slack's deliveries. `receive` is quick, so that Slack hears within its three seconds; the work follows."""

    teams: frozenset[str]
    slack: Slack
    accounts: SlackAccounts
    answering: Answering
    sharing: Sharing
    feedback: Feedback
    deliveries: Deliveries
    log: FilteringBoundLogger
    work: Pool
    notices: Pool

    def receive(self, body: Mapping[str, Any]) -> int:
        """The HTTP status of the ack: 200 for what is taken, done or none of our business; 503 to get it again."""
        try:
            if (heard := said(body)) and heard.account.team_id in self.teams:
                return self._take(heard)
            if (button := pressed(body)) and button.account.team_id in self.teams:
                self._queue(partial(self._press, button))
        except FootnoteError as error:
            self.log.warning("slack delivery not taken", error=type(error).__name__)
            return 503
        return 200

    def close(self) -> None:
        """Finish what was taken."""
        self.work.close()
        self.notices.close()

    def _take(self, heard: Said) -> int:
        claim = self.deliveries.claim(heard.event_id)
        if claim is None:
            # Whoever has it may be dead: while it is not settled, Slack is to deliver it again.
            return 200 if self.deliveries.is_settled(heard.event_id) else 503
        if not self.work.submit(partial(self._answer, heard, claim)):
            self.notices.submit(partial(self._report, heard, claim, BUSY))
        return 200

    def _answer(self, heard: Said, claim: Claim) -> None:
        try:
            self.answering.answer(heard, claim)
        except (WrongUsage, LimitExceeded) as error:
            self._report(heard, claim, str(error))
        except Exception as error:  # noqa: BLE001 - the edge of a thread: whoever asked must hear of it
            self.log.error("slack question failed", error=type(error).__name__, event_id=heard.event_id)
            self._report(heard, claim, FAILED)

    def _report(self, heard: Said, claim: Claim, words: str) -> None:
        try:
            self.answering.tell_once(heard, claim, words)
        except Exception as error:  # noqa: BLE001 - the edge of a thread, and nobody is left to tell
            self.log.error("slack reply failed", error=type(error).__name__, event_id=heard.event_id)

    def _queue(self, work: Callable[[], None]) -> None:
        if not self.work.submit(work):
            raise LimitExceeded(BUSY)

    def _press(self, button: Pressed) -> None:
        try:
            principal = self.accounts.principal(button.account)
            self._whisper(button, HOW_TO_LINK if principal is None else self._done(button, principal))
        except Exception as error:  # noqa: BLE001 - the edge of a thread: whoever pressed must hear of it
            self.log.error("slack button failed", error=type(error).__name__, action=button.action)
            self._whisper_or_log(button, FAILED)

    def _done(self, button: Pressed, principal: Principal) -> str:
        """Do what a button says; returns the words for whoever pressed it."""
        if verdict := _VERDICTS.get(button.action):
            try:
                self.feedback.give(principal, str(button.account), button.value, verdict)
            except NotFound as error:
                return str(error)
            return THANKS
        shareable = parse_shareable(button.value) if button.action == SHARE else None
        return self.sharing.share(button.account, principal, shareable) if shareable else FAILED

    def _whisper(self, button: Pressed, words: str) -> None:
        place = button.place
        self.slack.whisper(place.channel, button.account.user_id, WORD, plain(words), place.thread_ts)

    def _whisper_or_log(self, button: Pressed, words: str) -> None:
        try:
            self._whisper(button, words)
        except FootnoteError as error:
            self.log.error("slack reply failed", error=type(error).__name__, action=button.action)
