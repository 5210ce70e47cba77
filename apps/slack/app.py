"""The bot of a home, built: slack-bolt verifies and reads what Slack sends, and hands it to `Bot`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from slack_bolt import App
from slack_bolt.error import BoltError
from slack_bolt.response import BoltResponse
from slack_sdk.errors import SlackApiError

from apps.slack.answering import Answering
from apps.slack.bot import Bot
from apps.slack.client import Slack, silent_logger, web_client
from apps.slack.deliveries import Deliveries
from apps.slack.linking import Linking
from apps.slack.pool import Pool
from apps.slack.sharing import Sharing
from apps.slack.threads import Threads
from core.errors import Transient, WrongUsage
from core.logs import json_log
from core.settings import Settings
from governance.audience import AudienceCheck
from wiring.home import Home

THREADS = 4
"""Questions answered at once."""
WAITING = 64
"""Questions that wait at most; who asks beyond that is told to ask again."""
_NOTICES = 256
# With Socket Mode nothing is signed; bolt wants a secret all the same, and an empty one would verify nothing.
_UNUSED_SECRET = "socket-mode"  # noqa: S105


@dataclass(frozen=True)
class SlackApp:
    """A running bot and the bolt app that feeds it."""

    bolt: App
    bot: Bot


@contextmanager
def slack_app(home: Home, *, over_http: bool, threads: int = THREADS, waiting: int = WAITING) -> Iterator[SlackApp]:
    """The bot of `home`; what it has taken is finished when the block ends.

    Raises `WrongUsage` for settings that do not do, and `Transient` where Slack cannot be reached.
    """
    settings = home.settings
    teams = frozenset(team.strip() for team in settings.slack_teams.split(",") if team.strip())
    web = web_client(_token(settings, over_http, teams), settings.slack_api_url)
    try:
        me = web.auth_test()
    except (SlackApiError, OSError) as error:
        raise _no_slack(error) from error
    if me.get("team_id") not in teams:
        raise WrongUsage(f"The bot's token is of the workspace {me.get('team_id')}, which slack_teams does not name.")
    bot = _bot(home, Slack(web), teams, str(me.get("user_id")), Pool(threads, waiting, "slack"))
    secret = settings.slack_signing_secret
    try:
        bolt = App(
            logger=silent_logger(),
            client=web,
            signing_secret=secret.get_secret_value() if secret else _UNUSED_SECRET,
        )
    except BoltError as error:
        raise Transient(f"Slack does not take the bot's token ({error}). Try again.") from error

    @bolt.middleware
    def receive(body: dict[str, Any]) -> BoltResponse:
        return BoltResponse(status=bot.receive(body), body="")

    try:
        yield SlackApp(bolt, bot)
    finally:
        bot.close()


def _bot(home: Home, slack: Slack, teams: frozenset[str], user: str, work: Pool) -> Bot:
    settings, accounts, deliveries = home.settings, home.slack_accounts, Deliveries(home.catalog)
    public_url = settings.public_url or f"http://{settings.host}:{settings.port}"
    linking, threads = Linking(accounts), Threads(home.catalog)
    answering = Answering(
        slack, accounts, linking, home.conversing, home.conversations, threads, deliveries, public_url
    )
    check = AudienceCheck(home.catalog, home.gate)
    sharing = Sharing(slack, accounts, home.conversations, check, home.audit, deliveries, public_url, user)
    log = json_log(settings.log_level)
    notices = Pool(1, _NOTICES, "slack-notices")
    return Bot(teams, slack, accounts, answering, sharing, home.feedback, deliveries, log, work, notices)


def _token(settings: Settings, over_http: bool, teams: frozenset[str]) -> str:
    """The bot's token; raises `WrongUsage` naming every setting that is missing."""
    needed = {
        "slack_bot_token": settings.slack_bot_token,
        "slack_teams": teams,
        "slack_signing_secret" if over_http else "slack_app_token": (
            settings.slack_signing_secret if over_http else settings.slack_app_token
        ),
    }
    missing = [name for name, value in needed.items() if not value]
    if missing or settings.slack_bot_token is None:
        raise WrongUsage(f"The Slack bot needs the settings {', '.join(missing)} (docs/slack.md says where they are).")
    if settings.public_url and not settings.public_url.startswith(("https://", "http://")):
        raise WrongUsage(f"public_url {settings.public_url!r} is no address: write https://….")
    return settings.slack_bot_token.get_secret_value()


def _no_slack(error: SlackApiError | OSError) -> Transient | WrongUsage:
    if isinstance(error, SlackApiError):
        return WrongUsage(f"Slack does not take the bot's token ({error.response.get('error')}).")
    return Transient(f"Slack cannot be reached ({type(error).__name__}). Try again.")
