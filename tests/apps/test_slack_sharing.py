"""Sharing an answer with a channel: only what every member may read in that moment, once, and on record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from slack_double import BOT, TEAM, Message, SlackDouble, slack_double
from slack_home import ABOUT_LEAVE, ABOUT_MERGER, SECRET, SlackHome, slack_home, slack_settings

from apps.slack import sharing
from apps.slack.blocks import parse_shareable
from apps.slack.bot import FAILED
from core.principals import Principal, parse_principal
from governance.slack_accounts import SlackUser

ANA, BEN = parse_principal("user:ana"), parse_principal("user:ben")
SHARE = "Share in the channel"


@pytest.fixture
def slack() -> Iterator[SlackDouble]:
    with slack_double() as double:
        yield double


@pytest.fixture
def bot(tmp_path: Path, slack: SlackDouble) -> Iterator[SlackHome]:
    with slack_home(slack_settings(tmp_path / "home", slack), slack) as made:
        yield made


def answered(bot: SlackHome, question: str, user: str = "UANA") -> Message:
    """The answer to a mention, with its buttons."""
    return bot.after(bot.slack.mention(user, "CTEAM", question))[1]


def shared(bot: SlackHome, answer: Message, user: str = "UANA") -> tuple[list[Message], str]:
    """What the whole channel sees after a press of the button, and what the presser is told."""
    messages = bot.after(bot.slack.press(user, answer, SHARE))
    public = [message for message in messages if message.channel == "CTEAM"]
    told = [message.words() for message in messages if message.only_for == user]
    return public, told[-1]


def test_what_every_member_may_read_is_shared_under_the_question_and_on_record(bot: SlackHome) -> None:
    question = bot.slack.mention("UANA", "CTEAM", ABOUT_LEAVE)
    answer = bot.after(question)[1]

    (public,), told = shared(bot, answer)

    assert told == sharing.SHARED
    assert "27 days" in public.words()
    assert (public.only_for, public.thread_ts) == (None, question["event"]["ts"])
    assert public.buttons() == {}
    (record,) = bot.audit("share")
    assert (record["shared"], record["actor"]) == (True, f"slack:{TEAM}:UANA")
    assert record["members"] == ["user:ana", "user:ben"]
    assert record["documents"] == [bot.documents["leave.md"]]


def test_what_one_member_may_not_read_is_not_shared_and_the_refusal_names_nobody(bot: SlackHome) -> None:
    answer = answered(bot, ABOUT_MERGER)

    public, told = shared(bot, answer)

    assert (public, told) == ([], sharing.WITHHELD)
    assert [record["shared"] for record in bot.audit("share")] == [False]

    bot.slack.members["CTEAM"].remove("UBEN")
    (public_now,), _ = shared(bot, answer)
    assert SECRET in public_now.words()


def test_the_member_who_may_not_is_found_on_the_last_page(bot: SlackHome) -> None:
    for number in range(9):
        bot.link(f"UCLEO{number}", "user:cleo")
    bot.slack.members["CTEAM"] = [BOT, "UANA", *(f"UCLEO{number}" for number in range(9)), "UBEN"]
    answer = answered(bot, ABOUT_MERGER)

    assert shared(bot, answer) == ([], sharing.WITHHELD)

    bot.slack.members["CTEAM"].pop()
    assert shared(bot, answer)[1] == sharing.SHARED


def test_rights_count_as_they_are_when_the_button_is_pressed(bot: SlackHome) -> None:
    answer = answered(bot, ABOUT_LEAVE)
    bot.administration.revoke(BEN.grantee, "leave.md")

    assert shared(bot, answer) == ([], sharing.WITHHELD)

    bot.administration.grant(BEN.grantee, "leave.md")
    assert shared(bot, answer)[1] == sharing.SHARED


def test_whoever_has_lost_the_right_themselves_shares_nothing(bot: SlackHome) -> None:
    bot.slack.members["CTEAM"].remove("UBEN")
    answer = answered(bot, ABOUT_MERGER)
    bot.administration.revoke(ANA.grantee, "merger.md")

    assert shared(bot, answer) == ([], sharing.GONE)


def test_a_document_that_has_changed_since_is_not_shared_as_it_was(bot: SlackHome) -> None:
    answer = answered(bot, ABOUT_LEAVE)
    bot.add("leave.md", b"# Leave\n\nThe days of leave are being negotiated.\n", ["everyone"])

    assert shared(bot, answer) == ([], sharing.GONE)


def test_members_who_are_not_linked_count_as_anybody(bot: SlackHome) -> None:
    bot.slack.person("UNEW")
    bot.slack.members["CTEAM"] = [BOT, "UANA", "UNEW"]

    assert shared(bot, answered(bot, ABOUT_MERGER)) == ([], sharing.WITHHELD)
    assert shared(bot, answered(bot, ABOUT_LEAVE))[1] == sharing.SHARED


def test_an_unlinked_member_may_be_the_very_person_whom_a_document_denies(bot: SlackHome) -> None:
    bot.slack.members["CTEAM"] = [BOT, "UANA", "UNEW"]
    bot.administration.revoke(BEN.grantee, "leave.md")

    assert shared(bot, answered(bot, ABOUT_LEAVE)) == ([], sharing.WITHHELD)

    bot.link("UNEW", "user:cleo")
    assert shared(bot, answered(bot, ABOUT_LEAVE))[1] == sharing.SHARED


def test_another_bot_in_the_channel_is_a_stranger_and_ours_is_not(bot: SlackHome) -> None:
    bot.slack.person("UOTHERBOT", is_bot=True)
    bot.slack.members["CTEAM"] = [BOT, "UOTHERBOT", "UANA"]
    answer = answered(bot, ABOUT_MERGER)

    assert shared(bot, answer) == ([], sharing.WITHHELD)

    bot.slack.members["CTEAM"] = [BOT, "UANA"]
    assert shared(bot, answer)[1] == sharing.SHARED


def test_a_member_linked_in_another_workspace_is_a_stranger_here(bot: SlackHome) -> None:
    bot.slack.members["CTEAM"] = [BOT, "UANA", "UCLEO"]
    code = bot.home.slack_accounts.code(parse_principal("user:cleo"), "test")
    bot.home.slack_accounts.link(SlackUser("T0OTHER", "UCLEO"), code)

    assert shared(bot, answered(bot, ABOUT_MERGER)) == ([], sharing.WITHHELD)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda slack: slack.channels["CTEAM"].update(is_ext_shared=True), sharing.FOREIGN),
        (lambda slack: slack.channels["CTEAM"].update(is_pending_ext_shared=True), sharing.FOREIGN),
        (lambda slack: slack.channels["CTEAM"].update(is_archived=True), sharing.ARCHIVED),
        (lambda slack: slack.members["CTEAM"].remove("UANA"), sharing.NOT_A_MEMBER),
    ],
)
def test_nothing_is_shared_in_a_channel_that_has_become_another(
    bot: SlackHome, change: Callable[[SlackDouble], object], words: str
) -> None:
    answer = answered(bot, ABOUT_LEAVE)
    change(bot.slack)

    assert shared(bot, answer) == ([], words)


def test_a_channel_with_more_members_than_the_limit_is_refused(bot: SlackHome) -> None:
    answer = answered(bot, ABOUT_LEAVE)
    small = replace(bot.app.bot.sharing, most_members=2)
    shareable = parse_shareable(answer.buttons()[SHARE]["value"])
    assert shareable

    assert small.share(SlackUser(TEAM, "UANA"), ANA, shareable) == sharing.LARGE
    assert replace(small, most_members=3).share(SlackUser(TEAM, "UANA"), ANA, shareable) == sharing.SHARED


def test_pressing_twice_or_a_replayed_press_shares_once(bot: SlackHome) -> None:
    answer = answered(bot, ABOUT_LEAVE)
    assert shared(bot, answer)[1] == sharing.SHARED

    assert shared(bot, answer) == ([], sharing.ALREADY)


@pytest.mark.parametrize(("word", "then"), [("restricted_action", sharing.SHARED), ("internal_error", sharing.ALREADY)])
def test_what_slack_refused_may_be_shared_again_and_what_it_may_have_posted_may_not(
    bot: SlackHome, word: str, then: str
) -> None:
    answer = answered(bot, ABOUT_LEAVE)
    bot.slack.failing["chat.postMessage"] = word

    assert shared(bot, answer) == ([], FAILED)

    bot.slack.failing.clear()
    assert shared(bot, answer)[1] == then


def test_nobody_shares_the_answer_of_another(bot: SlackHome) -> None:
    answer = answered(bot, ABOUT_LEAVE)
    shareable = parse_shareable(answer.buttons()[SHARE]["value"])
    assert shareable

    assert _share(bot, "UBEN", BEN, shareable) == sharing.GONE
    assert _share(bot, "UANA", ANA, shareable) == sharing.SHARED


def _share(bot: SlackHome, user: str, principal: Principal, shareable: object) -> str:
    return bot.app.bot.sharing.share(SlackUser(TEAM, user), principal, shareable)  # type: ignore[arg-type]


def test_an_abstention_and_an_answer_in_a_direct_message_have_nothing_to_share(bot: SlackHome) -> None:
    with_answer = answered(bot, ABOUT_LEAVE)
    abstained = answered(bot, "Which colour has the moon's cheese factory?")
    direct = bot.after(bot.slack.direct_message("UANA", ABOUT_LEAVE))[-1]

    assert SHARE in with_answer.buttons()
    assert set(abstained.buttons()) == set(direct.buttons()) == {"Helpful", "Not helpful"}


def test_nothing_is_shared_without_a_record(bot: SlackHome) -> None:
    answer = answered(bot, ABOUT_LEAVE)
    bot.home.audit.close()

    public, _ = shared(bot, answer)

    assert public == []


@pytest.mark.parametrize("value", ["", "x", "0 1 2 3", f"{'0' * 32} a CTEAM 1.1 more", "../../etc 1 C 1.1"])
def test_a_value_that_no_button_of_ours_carries_is_refused(value: str) -> None:
    assert parse_shareable(value) is None
