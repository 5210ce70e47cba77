"""A Slack account is somebody's once they have shown both to be theirs, with a code that holds once and briefly."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from slack_double import TEAM, SlackDouble, slack_double
from slack_home import ABOUT_MERGER, SECRET, SlackHome, slack_home, slack_settings
from starlette.testclient import TestClient

from apps.web.app import create_app
from core.principals import parse_principal
from governance.identity import PERSON_SCOPES
from governance.slack_accounts import SlackUser


@pytest.fixture
def slack() -> Iterator[SlackDouble]:
    with slack_double() as double:
        yield double


@pytest.fixture
def bot(tmp_path: Path, slack: SlackDouble) -> Iterator[SlackHome]:
    with slack_home(slack_settings(tmp_path / "home", slack), slack) as made:
        slack.person("UCLEO")
        yield made


def code_for(bot: SlackHome, principal: str) -> str:
    return bot.home.slack_accounts.code(parse_principal(principal), "test")


def said(bot: SlackHome, user: str, text: str) -> str:
    """What the bot says to a direct message."""
    return bot.after(bot.slack.direct_message(user, text))[-1].words()


def test_a_code_from_the_web_makes_the_account_that_sends_it_the_persons(bot: SlackHome) -> None:
    key = bot.administration.create_key("cleo", parse_principal("user:cleo"), PERSON_SCOPES, None)[1]
    web = TestClient(create_app(bot.home), headers={"Authorization": f"Bearer {key}"})
    assert SECRET not in said(bot, "UCLEO", ABOUT_MERGER)

    code = web.post("/v1/slack/links").json()["code"]
    assert "user:cleo" in said(bot, "UCLEO", f"link {code}")

    assert SECRET in said(bot, "UCLEO", ABOUT_MERGER)
    (link,) = web.get("/v1/slack/links").json()["links"]
    assert (link["team_id"], link["user_id"], link["principal"]) == (TEAM, "UCLEO", "user:cleo")
    assert web.delete("/v1/slack/links").status_code == 204
    assert SECRET not in said(bot, "UCLEO", ABOUT_MERGER)


def test_a_code_holds_once(bot: SlackHome) -> None:
    code = code_for(bot, "user:cleo")
    bot.slack.person("UEVE")

    assert "user:cleo" in said(bot, "UCLEO", f"link {code}")
    assert "wrong, used or too old" in said(bot, "UEVE", f"link {code}")


def test_a_newer_code_ends_the_older_one(bot: SlackHome) -> None:
    older, newer = code_for(bot, "user:cleo"), code_for(bot, "user:cleo")

    assert "wrong, used or too old" in said(bot, "UCLEO", f"link {older}")
    assert "user:cleo" in said(bot, "UCLEO", f"link {newer}")


def test_a_code_is_read_in_small_letters_and_among_white_space_too(bot: SlackHome) -> None:
    assert "user:cleo" in said(bot, "UCLEO", f"  LINK   {code_for(bot, 'user:cleo').lower()} ")


def test_a_code_is_too_old_after_ten_minutes(bot: SlackHome, monkeypatch: pytest.MonkeyPatch) -> None:
    from catalog.models import now
    from governance import slack_accounts

    code = code_for(bot, "user:cleo")
    monkeypatch.setattr(slack_accounts, "now", lambda: now() + timedelta(minutes=10, seconds=1))
    assert "wrong, used or too old" in said(bot, "UCLEO", f"link {code}")
    monkeypatch.setattr(slack_accounts, "now", lambda: now() + timedelta(minutes=9, seconds=50))
    assert "user:cleo" in said(bot, "UCLEO", f"link {code}")


def test_a_code_that_was_said_in_a_channel_is_spoilt(bot: SlackHome) -> None:
    code = code_for(bot, "user:cleo")
    bot.slack.members["CTEAM"].append("UCLEO")

    (told,) = bot.after(bot.slack.mention("UCLEO", "CTEAM", f"link {code}"))

    assert (told.only_for, "spoilt" in told.words()) == ("UCLEO", True)
    assert "wrong, used or too old" in said(bot, "UCLEO", f"link {code}")


def test_an_account_that_is_somebodys_does_not_become_anothers_before_it_is_unlinked(bot: SlackHome) -> None:
    code = code_for(bot, "user:ben")

    assert "somebody else" in said(bot, "UANA", f"link {code}")
    assert SECRET in said(bot, "UANA", ABOUT_MERGER)

    assert "not linked any more" in said(bot, "UANA", "unlink")
    assert "user:ben" in said(bot, "UANA", f"link {code}")
    assert SECRET not in said(bot, "UANA", ABOUT_MERGER)


def test_unlinking_ends_it_at_once_and_a_bot_never_links(bot: SlackHome) -> None:
    assert SECRET in said(bot, "UANA", ABOUT_MERGER)
    said(bot, "UANA", "Unlink")
    assert SECRET not in said(bot, "UANA", ABOUT_MERGER)

    code = code_for(bot, "user:ana")
    bot.slack.person("UROBOT", is_bot=True)
    assert bot.after(bot.slack.direct_message("UROBOT", f"link {code}")) == []
    assert bot.home.slack_accounts.principal(SlackUser(TEAM, "UROBOT")) is None
    assert "user:ana" in said(bot, "UANA", f"link {code}")


def test_the_database_holds_no_code(bot: SlackHome) -> None:
    code = code_for(bot, "user:cleo")
    with bot.home.catalog.engine.connect() as connection:
        rows = str(connection.exec_driver_sql("SELECT * FROM slack_codes").all())

    assert "cleo" in rows
    assert code not in rows
    assert code.replace("-", "") not in rows


def test_every_change_to_who_is_who_is_on_record(bot: SlackHome) -> None:
    said(bot, "UCLEO", f"link {code_for(bot, 'user:cleo')}")
    said(bot, "UCLEO", "unlink")

    for action in ("slack.code", "slack.link", "slack.unlink"):
        assert bot.audit(action), action
    assert f"slack:{TEAM}:UCLEO" in {record["actor"] for record in bot.audit("slack.link")}


def test_somebody_who_is_not_active_any_more_reads_nothing_through_slack(bot: SlackHome) -> None:
    assert SECRET in said(bot, "UANA", ABOUT_MERGER)
    bot.administration.define_user(parse_principal("user:ana").grantee, "Ana", active=False)

    assert SECRET not in said(bot, "UANA", ABOUT_MERGER)


def test_a_question_that_begins_like_a_command_is_a_question(bot: SlackHome) -> None:
    said(bot, "UANA", "link between leave and pay?")
    said(bot, "UANA", "unlink my account please")

    assert {record["question"] for record in bot.audit("ask")} == {
        "link between leave and pay?",
        "unlink my account please",
    }
