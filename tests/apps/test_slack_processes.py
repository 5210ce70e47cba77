"""The command `footnote slack` as it runs: Socket Mode and HTTP, connections that break, processes that die."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from slack_double import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET, TEAM, SlackDouble, request_of, slack_double, wait_for
from slack_home import ABOUT_MERGER, PUBLIC_URL, SECRET, slack_home, slack_settings
from sqlalchemy import update

from apps.cli.main import invoke
from catalog.models import now
from catalog.slack import SlackDeliveryRow
from wiring.lifecycle import open_home


@dataclass(frozen=True)
class Running:
    """A bot in a process of its own, and what it writes."""

    process: subprocess.Popen[str]
    log: Path

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture
def slack(tmp_path: Path) -> Iterator[SlackDouble]:
    """Slack, with a home that was made and filled before."""
    with slack_double() as double:
        with slack_home(slack_settings(tmp_path / "home", double), double):
            pass
        yield double


@contextmanager
def running(folder: Path, slack: SlackDouble, *arguments: str, name: str = "bot", **env: str) -> Iterator[Running]:
    """`footnote slack` over the home in `folder`, ready."""
    log = folder / f"{name}.log"
    environment = {
        **os.environ,
        "FOOTNOTE_HOME": str(folder / "home"),
        "FOOTNOTE_EMBEDDING_MODEL": "hashing",
        "FOOTNOTE_SLACK_BOT_TOKEN": BOT_TOKEN,
        "FOOTNOTE_SLACK_APP_TOKEN": APP_TOKEN,
        "FOOTNOTE_SLACK_SIGNING_SECRET": SIGNING_SECRET,
        "FOOTNOTE_SLACK_TEAMS": TEAM,
        "FOOTNOTE_SLACK_API_URL": slack.api_url,
        "FOOTNOTE_PUBLIC_URL": PUBLIC_URL,
        **env,
    }
    command = [sys.executable, "-c", "from apps.cli.main import run; run()", "slack", *arguments]
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stderr=output, stdout=output, text=True)
        try:
            assert wait_for(lambda: "is ready" in log.read_text() or process.poll() is not None, 60)
            yield Running(process, log)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(20)


def answers(slack: SlackDouble) -> list[str]:
    return [message.words() for message in slack.messages if SECRET in message.words()]


def test_socket_mode_answers_acknowledges_in_time_and_survives_its_connections(
    tmp_path: Path, slack: SlackDouble
) -> None:
    with running(tmp_path, slack) as bot:
        assert slack.connected()
        first = slack.direct_message("UANA", ABOUT_MERGER)
        assert slack.deliver(first, tries=1)
        assert wait_for(lambda: len(answers(slack)) == 1)

        before = slack.opened
        slack.ask_to_reconnect()
        assert wait_for(lambda: slack.opened > before)
        assert slack.deliver(slack.direct_message("UANA", ABOUT_MERGER))
        assert slack.deliver(first, tries=1)
        assert wait_for(lambda: len(answers(slack)) == 2)

        while slack.connections:
            slack.drop()
        assert slack.connected(1, 40)
        answer = slack.messages[-1]
        assert slack.deliver(slack.press("UANA", answer, "Helpful"), kind="interactive", tries=1)
        assert wait_for(lambda: slack.messages[-1].only_for == "UANA")
        assert len(answers(slack)) == 2
        assert bot.terminate() == 0
        assert SECRET not in bot.log.read_text()
        assert "purchase" not in bot.log.read_text()


def test_an_event_that_killed_its_bot_is_answered_once_by_the_next(tmp_path: Path, slack: SlackDouble) -> None:
    event = slack.direct_message("UANA", ABOUT_MERGER)
    reached: list[str] = []
    slack.before_answering = reached.append
    with running(tmp_path, slack, name="first") as bot:
        assert slack.connected()
        slack.limited["users.info"] = [50]
        slack.send(event)
        assert wait_for(lambda: "users.info" in reached)
        bot.kill()
    assert answers(slack) == []
    with open_home(slack_settings(tmp_path / "home", slack)) as home, home.catalog.write() as session:
        session.execute(update(SlackDeliveryRow).values(lease_until=now() - timedelta(seconds=1)))

    with running(tmp_path, slack, name="second"):
        assert slack.connected()
        assert slack.deliver(event, tries=2)
        assert wait_for(lambda: answers(slack))
        assert slack.deliver(event, tries=1)
        assert slack.deliver(event, tries=1)
        assert len(answers(slack)) == 1


def test_a_bot_that_is_told_to_stop_finishes_what_it_has_taken(tmp_path: Path, slack: SlackDouble) -> None:
    with running(tmp_path, slack) as bot:
        assert slack.connected()
        slack.limited["users.info"] = [1]
        assert slack.deliver(slack.direct_message("UANA", ABOUT_MERGER), tries=1)
        assert bot.terminate() == 0

    assert len(answers(slack)) == 1


def test_over_http_it_takes_signed_events_and_two_processes_share_one_memory(
    tmp_path: Path, slack: SlackDouble
) -> None:
    with (
        running(tmp_path, slack, "--http", "--port", "0", name="one") as one,
        running(tmp_path, slack, "--http", "--port", "0", name="two") as two,
    ):
        event = slack.direct_message("UANA", ABOUT_MERGER)
        body, headers = request_of(event)
        for bot in (one, two, one, two):
            address = re.search(r"http://\S+/slack/events", bot.log.read_text())
            assert address
            assert (
                httpx.post(address[0], content=body, headers={**headers, "X-Slack-Signature": "v0=0"}).status_code
                == 401
            )
            assert wait_for(lambda at=address[0]: httpx.post(at, content=body, headers=headers).status_code == 200)
        assert wait_for(lambda: answers(slack))
        assert one.terminate() == two.terminate() == 0

    assert len(answers(slack)) == 1


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"FOOTNOTE_SLACK_APP_TOKEN": ""}, "slack_app_token"),
        ({"FOOTNOTE_SLACK_APP_TOKEN": "xapp-wrong"}, "invalid_auth"),
        ({"FOOTNOTE_SLACK_TEAMS": ""}, "slack_teams"),
    ],
)
def test_it_ends_with_words_where_its_settings_do_not_do(
    tmp_path: Path, slack: SlackDouble, env: dict[str, str], words: str
) -> None:
    with running(tmp_path, slack, **env) as bot:
        assert bot.process.wait(20) == 2
        assert words in bot.log.read_text()
        assert "Traceback" not in bot.log.read_text()


def test_links_are_made_listed_and_ended_on_the_command_line(
    tmp_path: Path, slack: SlackDouble, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(tmp_path / "home")]
    assert invoke(["slack", "link", "--as", "user:cleo", "--json", *home]) == 0
    assert '"code"' in capsys.readouterr().out
    assert invoke(["slack", "links", "--as", "user:ana", "--json", *home]) == 0
    assert "UANA" in capsys.readouterr().out
    assert invoke(["slack", "unlink", "--as", "user:ana", *home]) == 0
    capsys.readouterr()
    assert invoke(["slack", "links", "--json", *home]) == 0
    listed = capsys.readouterr().out
    assert "UBEN" in listed
    assert "UANA" not in listed
