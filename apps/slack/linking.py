"""Proving that a Slack account is somebody's, in direct messages: `link CODE`, `unlink`, `help`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from apps.slack.incoming import Said
from core.errors import Conflict, WrongUsage
from governance.slack_accounts import SlackAccounts

# A question may begin with the word; only what looks like one of our codes is taken for one.
_LINK = re.compile(r"link\s+((?:[0-9a-z]{4}-){3}[0-9a-z]{4})", re.IGNORECASE)
_COMMANDS = ("unlink", "help")
HELP = (
    "Ask me anything here, or beside my name in a channel: I answer from your organization's documents, each sentence "
    "with its source, and only to you. `unlink` ends the link to your account."
)
HOW_TO_LINK = (
    "I do not know yet who you are. Get a code on Footnote's page or with `footnote slack link`, "
    "and send me `link CODE` here, in a direct message, within ten minutes."
)


@dataclass(frozen=True)
class Linking:
    """What a person says to be known, or to be forgotten."""

    accounts: SlackAccounts

    def reply(self, said: Said) -> str | None:
        """The reply to a command, which is obeyed; None for a question."""
        if code := _LINK.fullmatch(said.text.strip()):
            return self._linked(said, code[1])
        command = said.text.strip().lower()
        if not said.place.direct or command not in _COMMANDS:
            return None
        if command == "help":
            return HELP
        return "You are not linked any more." if self.accounts.unlink(said.account) else "You were not linked."

    def _linked(self, said: Said, code: str) -> str:
        if not said.place.direct:
            # Whoever read it could make their own account this person's.
            self.accounts.spoil(code, str(said.account))
            return "Others can read this channel, so the code is spoilt. Make a new one and send it directly to me."
        try:
            principal = self.accounts.link(said.account, code)
        except (WrongUsage, Conflict) as error:
            return str(error)
        return f"You are linked: I answer you as {principal} from now on. {HELP}"
