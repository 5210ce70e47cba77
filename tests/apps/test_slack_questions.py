"""Questions in Slack: answered to the person who asked, under their rights, once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from slack_double import BOT, TEAM, SlackDouble, slack_double, wait_for
from slack_home import ABOUT_LEAVE, ABOUT_MERGER, PUBLIC_URL, SECRET, SlackHome, slack_home, slack_settings
from sqlalchemy import update

from apps.slack.answering import FOREIGN, POINTER
from apps.slack.bot import BUSY, FAILED
from apps.slack.linking import HOW_TO_LINK
from catalog.models import now
from catalog.slack import SlackDeliveryRow
from core.errors import WrongUsage
from core.principals import parse_principal
from core.settings import Settings
from governance.audit import Kind
from governance.slack_accounts import SlackUser


@pytest.fixture
def slack() -> Iterator[SlackDouble]:
    with slack_double() as double:
        yield double


@pytest.fixture
def bot(tmp_path: Path, slack: SlackDouble) -> Iterator[SlackHome]:
    with slack_home(slack_settings(tmp_path / "home", slack), slack) as made:
        yield made


def test_a_direct_question_is_answered_in_its_thread_under_the_rights_of_whoever_asks(bot: SlackHome) -> None:
    slack = bot.slack
    question = slack.direct_message("UANA", ABOUT_MERGER)

    to_ana = bot.after(question)
    to_ben = bot.after(slack.direct_message("UBEN", ABOUT_MERGER))

    assert SECRET in to_ana[-1].words()
    assert (to_ana[-1].channel, to_ana[-1].thread_ts) == ("DUANA", question["event"]["ts"])
    assert to_ben and not any(SECRET in str(message.payload) for message in to_ben)
    assert {message.channel for message in to_ben} == {"DUBEN"}


def test_an_answer_to_a_mention_reaches_the_asker_alone_and_the_channel_sees_nothing(bot: SlackHome) -> None:
    slack = bot.slack

    messages = bot.after(slack.mention("UANA", "CTEAM", ABOUT_MERGER))

    head, answer, pointer = messages
    assert head.channel == answer.channel == "DUANA"
    assert answer.thread_ts == head.ts
    assert SECRET in answer.words()
    assert (pointer.channel, pointer.only_for, pointer.words()) == ("CTEAM", "UANA", POINTER)
    assert slack.seen_by("UBEN", "CTEAM") == []


def test_a_notification_holds_no_word_that_somebody_wrote_and_is_not_parsed(bot: SlackHome) -> None:
    slack = bot.slack
    answered = bot.after(slack.mention("UANA", "CTEAM", ABOUT_MERGER))
    refused = bot.after(slack.direct_message("UANA", "why? " * 2_000))
    pressed = bot.after(slack.press("UANA", answered[1], "Helpful"))

    for message in [*answered, *refused, *pressed]:
        assert message.payload["text"] in ("Footnote has an answer for you.", "A word from Footnote.")
        assert message.payload["parse"] == "none"


def test_each_footnote_links_to_the_cited_document_on_our_page(bot: SlackHome) -> None:
    answer = bot.after(bot.slack.direct_message("UANA", ABOUT_MERGER))[-1]

    links = [element for element in _elements(answer.blocks) if element["type"] == "link"]

    assert links
    assert all(link["url"].startswith(f"{PUBLIC_URL}/#document={bot.documents['merger.md']}&") for link in links)


def test_a_revoked_right_holds_for_the_next_question(bot: SlackHome) -> None:
    before = bot.after(bot.slack.direct_message("UANA", ABOUT_MERGER))[-1]
    bot.administration.revoke(parse_principal("user:ana").grantee, "merger.md")
    after = bot.after(bot.slack.direct_message("UANA", ABOUT_MERGER))[-1]

    assert SECRET in before.words()
    assert SECRET not in after.words()


def test_a_follow_up_in_the_thread_continues_its_conversation_and_one_elsewhere_does_not(bot: SlackHome) -> None:
    slack = bot.slack
    head, _, _ = bot.after(slack.mention("UANA", "CTEAM", ABOUT_MERGER))
    bot.after(slack.direct_message("UANA", "And who may know?", thread_ts=head.ts))
    bot.after(slack.direct_message("UANA", ABOUT_LEAVE))

    ana = parse_principal("user:ana")
    conversations = bot.home.conversations
    turns = {len(conversations.turns(ana, view.conversation_id, 9)) for view in conversations.listed(ana)}
    assert turns == {1, 2}


def test_a_thread_of_whoever_had_the_account_before_is_not_continued(bot: SlackHome) -> None:
    slack = bot.slack
    first = slack.direct_message("UANA", ABOUT_MERGER)
    bot.after(first)
    bot.after(slack.direct_message("UANA", "unlink"))
    bot.link("UANA", "user:ben")

    answer = bot.after(slack.direct_message("UANA", "And who may know?", thread_ts=first["event"]["ts"]))[-1]

    assert SECRET not in answer.words()
    assert len(bot.home.conversations.listed(parse_principal("user:ana"))) == 1
    assert len(bot.home.conversations.listed(parse_principal("user:ben"))) == 1


def test_somebody_unlinked_is_told_how_to_link_and_only_them(bot: SlackHome) -> None:
    bot.slack.person("UNEW")
    bot.slack.members["CTEAM"].append("UNEW")

    (told,) = bot.after(bot.slack.mention("UNEW", "CTEAM", ABOUT_LEAVE))

    assert (told.only_for, told.words()) == ("UNEW", HOW_TO_LINK)
    assert bot.audit("ask") == []


def test_an_address_or_a_name_in_the_profile_proves_nobody(bot: SlackHome) -> None:
    bot.slack.person("UEVE", name="ana", profile={"email": "ana@example.org", "display_name": "user:ana"})

    (told,) = bot.after(bot.slack.direct_message("UEVE", ABOUT_MERGER))

    assert told.words() == HOW_TO_LINK


def test_a_workspace_that_is_not_named_is_not_answered_though_everything_else_is_right(bot: SlackHome) -> None:
    slack = bot.slack
    slack.person("UANA", team_id="T0OTHER")
    code = bot.home.slack_accounts.code(parse_principal("user:ana"), "test")
    bot.home.slack_accounts.link(SlackUser("T0OTHER", "UANA"), code)
    payload = slack.direct_message("UANA", ABOUT_MERGER, team="T0OTHER")
    answer = bot.after({**payload, "team_id": "T0OTHER"})

    assert answer == []
    served = replace(bot.app.bot, teams=frozenset({"T0OTHER"}))
    assert served.receive({**payload, "team_id": "T0OTHER"}) == 200
    bot.settle()
    assert SECRET in slack.messages[-1].words()


STRANGERS = {
    "another workspace": ({"team_id": "T0OTHER"}, {}),
    "a user of another workspace": ({}, {"user_team": "T0OTHER"}),
    "a source of another workspace": ({}, {"source_team": "T0OTHER"}),
    "a message of another workspace": ({}, {"team": "T0OTHER"}),
    "a channel shared with another organization": ({"is_ext_shared_channel": True}, {}),
    "a bot": ({}, {"bot_id": "B0OTHER"}),
    "an edited message": ({}, {"subtype": "message_changed"}),
    "a message whose edit names the bot": ({}, {"edited": {"user": "UANA", "ts": "1.2"}}),
    "a deleted message": ({}, {"subtype": "message_deleted"}),
    "a joining member": ({}, {"subtype": "channel_join"}),
    "a hidden message": ({}, {"hidden": True}),
    "no user": ({}, {"user": None}),
    "a user that is no id": ({}, {"user": "UANA' OR 1=1"}),
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_what_is_no_word_of_a_person_of_ours_is_acknowledged_and_nothing_follows(bot: SlackHome, kind: str) -> None:
    around, event = STRANGERS[kind]
    payload = bot.slack.direct_message("UANA", ABOUT_MERGER)
    calls = len(bot.slack.calls)

    assert bot.after({**payload, **around, "event": {**payload["event"], **event}}) == []
    assert len(bot.slack.calls) == calls
    assert bot.audit("ask") == []

    assert SECRET in bot.after(payload)[-1].words()


@pytest.mark.parametrize("subtype", ["file_share", "thread_broadcast"])
def test_a_question_with_a_file_or_to_the_channel_too_is_answered(bot: SlackHome, subtype: str) -> None:
    asked = bot.slack.direct_message("UANA", ABOUT_MERGER, subtype=subtype)

    assert SECRET in bot.after(asked)[-1].words()


@pytest.mark.parametrize(
    "facts", [{"is_bot": True}, {"deleted": True}, {"is_stranger": True}, {"team_id": "T0OTHER"}], ids=str
)
def test_whoever_slack_says_is_no_person_of_ours_gets_nothing_though_linked(
    bot: SlackHome, facts: dict[str, object]
) -> None:
    assert SECRET in bot.after(bot.slack.direct_message("UANA", ABOUT_MERGER))[-1].words()
    bot.slack.person("UANA", **facts)
    asked = len(bot.audit("ask"))

    assert bot.after(bot.slack.direct_message("UANA", ABOUT_MERGER)) == []
    assert len(bot.audit("ask")) == asked


@pytest.mark.parametrize("fact", ["is_ext_shared", "is_pending_ext_shared", "is_shared"])
def test_nothing_is_answered_in_a_channel_that_slack_says_is_shared(bot: SlackHome, fact: str) -> None:
    bot.slack.channels["CTEAM"][fact] = True

    (told,) = bot.after(bot.slack.mention("UANA", "CTEAM", ABOUT_MERGER))

    assert (told.only_for, told.words()) == ("UANA", FOREIGN)
    assert bot.audit("ask") == []
    bot.slack.channels["CTEAM"][fact] = False
    assert len(bot.after(bot.slack.mention("UANA", "CTEAM", ABOUT_MERGER))) == 3


def test_an_event_delivered_again_and_again_is_answered_once(bot: SlackHome) -> None:
    event = bot.slack.direct_message("UANA", ABOUT_MERGER)

    first = bot.after(event)

    assert len(first) == 1
    assert [bot.after(event) for _ in range(3)] == [[], [], []]


def test_an_event_that_reaches_two_processes_at_once_is_answered_once(bot: SlackHome) -> None:
    event = bot.slack.direct_message("UANA", ABOUT_MERGER)
    threads = [threading.Thread(target=bot.app.bot.receive, args=(event,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bot.settle()

    assert len(bot.slack.messages) == 1


def test_what_a_dead_bot_had_taken_is_answered_by_the_next_delivery_once_its_lease_is_over(bot: SlackHome) -> None:
    event = bot.slack.direct_message("UANA", ABOUT_MERGER)
    assert bot.app.bot.deliveries.claim(event["event_id"])  # by a process that dies now

    assert bot.deliver(event) == 503
    assert bot.slack.messages == []
    _end_leases(bot)

    assert SECRET in bot.after(event)[-1].words()
    assert bot.after(event) == []


def test_a_bot_that_was_stopped_past_its_lease_adds_no_second_answer(bot: SlackHome) -> None:
    event = bot.slack.direct_message("UANA", ABOUT_MERGER)
    held, go_on = threading.Event(), threading.Event()

    def hold(method: str) -> None:
        if method == "users.info" and not held.is_set():
            held.set()
            assert go_on.wait(20)

    bot.slack.before_answering = hold
    assert bot.deliver(event) == 200
    assert held.wait(20)
    _end_leases(bot)
    assert bot.deliver(event) == 200
    assert wait_for(lambda: len(bot.slack.messages) == 1)
    go_on.set()
    bot.settle()

    assert len(bot.slack.messages) == 1


def test_deliveries_are_forgotten_after_a_day_and_not_before(bot: SlackHome) -> None:
    deliveries = bot.app.bot.deliveries
    for name, age in (("EvOLD", timedelta(hours=25)), ("EvNEW", timedelta(hours=23))):
        claim = deliveries.claim(name)
        assert claim
        deliveries.settle(claim)
        with bot.home.catalog.write() as session:
            aged = update(SlackDeliveryRow).where(SlackDeliveryRow.id == name).values(taken_at=now() - age)
            session.execute(aged)

    deliveries.claim("EvANY")

    assert not deliveries.is_settled("EvOLD")
    assert deliveries.is_settled("EvNEW")


def test_the_ack_does_not_wait_for_the_answer_and_too_many_questions_are_refused_in_words(
    tmp_path: Path, slack: SlackDouble
) -> None:
    with slack_home(slack_settings(tmp_path / "home", slack), slack, threads=1, waiting=1) as bot:
        held, go_on = threading.Event(), threading.Event()

        def hold(method: str) -> None:
            if method == "users.info":
                held.set()
                assert go_on.wait(20)

        slack.before_answering = hold
        assert bot.deliver(slack.direct_message("UANA", ABOUT_MERGER)) == 200
        assert held.wait(20)
        assert bot.deliver(slack.direct_message("UANA", ABOUT_MERGER)) == 200
        third = slack.direct_message("UBEN", ABOUT_LEAVE)
        assert bot.deliver(third) == 200
        assert wait_for(lambda: slack.messages)
        assert [message.words() for message in slack.seen_by("UBEN", "DUBEN")] == [BUSY]

        go_on.set()
        bot.settle()
        assert [SECRET in message.words() for message in slack.seen_by("UANA", "DUANA")] == [True, True]
        assert bot.after(third) == []


def test_slacks_rate_limit_is_waited_for_and_the_answer_comes_once(bot: SlackHome) -> None:
    bot.slack.limited["chat.postMessage"] = [1]

    answers = bot.after(bot.slack.direct_message("UANA", ABOUT_MERGER))

    assert [SECRET in message.words() for message in answers] == [True]
    assert [method for method, _ in bot.slack.calls].count("chat.postMessage") == 2


def test_a_rate_limit_too_long_to_wait_for_is_said_and_not_waited_for(bot: SlackHome) -> None:
    bot.slack.limited["users.info"] = [3_600]

    (told,) = bot.after(bot.slack.direct_message("UANA", ABOUT_MERGER))

    assert told.words() == FAILED


def test_no_answer_leaves_without_its_record(bot: SlackHome) -> None:
    bot.home.audit.close()

    assert SECRET not in str([message.payload for message in bot.after(bot.slack.direct_message("UANA", ABOUT_MERGER))])


def test_a_post_that_slack_refuses_is_not_tried_again(bot: SlackHome) -> None:
    bot.slack.failing["chat.postMessage"] = "internal_error"
    event = bot.slack.direct_message("UANA", ABOUT_MERGER)

    bot.after(event)
    bot.slack.failing.clear()

    assert bot.after(event) == []


def test_feedback_is_taken_from_the_person_who_asked_and_from_nobody_else(bot: SlackHome) -> None:
    slack = bot.slack
    answer = bot.after(slack.direct_message("UANA", ABOUT_MERGER))[-1]

    slack.members["DUANA"].append("UBEN")
    bot.after(slack.press("UBEN", answer, "Not helpful"))
    figures = bot.home.feedback.figures()
    assert (figures.helpful, figures.not_helpful) == (0, 0)
    bot.after(slack.press("UANA", answer, "Helpful"))
    figures = bot.home.feedback.figures()

    assert (figures.helpful, figures.not_helpful) == (1, 0)
    (given,) = bot.home.audit_reader.newest(kind=Kind.FEEDBACK)
    assert given.content
    assert given.content["actor"] == f"slack:{TEAM}:UANA"


def test_a_button_pressed_in_another_workspace_or_by_a_user_of_one_does_nothing(bot: SlackHome) -> None:
    slack = bot.slack
    press = slack.press("UANA", bot.after(slack.direct_message("UANA", ABOUT_MERGER))[-1], "Helpful")

    assert bot.after({**press, "team": {"id": "T0OTHER"}, "user": {"id": "UANA", "team_id": "T0OTHER"}}) == []
    assert bot.after({**press, "user": {"id": "UANA", "team_id": "T0OTHER"}}) == []
    assert bot.home.feedback.figures().helpful == 0
    assert len(bot.after(press)) == 1
    assert bot.home.feedback.figures().helpful == 1


def test_an_answer_is_on_record_with_the_slack_account_that_asked(bot: SlackHome) -> None:
    bot.after(bot.slack.direct_message("UANA", ABOUT_MERGER))

    (record,) = bot.audit("ask")

    assert record["actor"] == f"slack:{TEAM}:UANA"


def test_no_word_of_a_question_or_an_answer_stands_in_the_tables_of_slack(bot: SlackHome) -> None:
    bot.after(bot.slack.mention("UANA", "CTEAM", ABOUT_MERGER))
    with bot.home.catalog.engine.connect() as connection:
        for table in ("slack_links", "slack_codes", "slack_deliveries", "slack_threads"):
            rows = connection.exec_driver_sql(f"SELECT * FROM {table}").all()
            assert "purchase" not in str(rows)
            assert SECRET not in str(rows)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (f"<@{BOT}> how &lt;many&gt; &amp; why?", "how <many> & why?"),
        ("see <https://a.example/x|the page> or <https://b.example>", "see the page or https://b.example"),
        ("what did <@U123|ana> say in <#C9|general>, <!here>?", "what did @ana say in #general, @here?"),
        ("two\n\nlines", "two lines"),
    ],
)
def test_a_message_is_read_as_a_person_would(bot: SlackHome, text: str, asked: str) -> None:
    bot.after(bot.slack.direct_message("UANA", text))

    (record,) = bot.audit("ask")
    assert record["question"] == asked


def test_it_does_not_start_for_a_workspace_it_was_not_told_to_serve(tmp_path: Path, slack: SlackDouble) -> None:
    for settings, word in (
        (slack_settings(tmp_path / "a", slack, slack_teams="T0OTHER"), "slack_teams"),
        (slack_settings(tmp_path / "b", slack, slack_teams=""), "slack_teams"),
        (slack_settings(tmp_path / "c", slack, slack_signing_secret=None), "slack_signing_secret"),
        (slack_settings(tmp_path / "d", slack, slack_bot_token="xoxb-wrong"), "invalid_auth"),
        (slack_settings(tmp_path / "e", slack, public_url="javascript:alert(1)"), "public_url"),
    ):
        _refuses(settings, slack, word)


def _refuses(settings: Settings, slack: SlackDouble, word: str) -> None:
    with pytest.raises(WrongUsage, match=word), slack_home(settings, slack):
        pass


def _end_leases(bot: SlackHome) -> None:
    with bot.home.catalog.write() as session:
        session.execute(update(SlackDeliveryRow).values(lease_until=now() - timedelta(seconds=1)))


def _elements(blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for block in blocks:
        if block["type"] == "rich_text":
            for part in block["elements"]:
                yield from part["elements"]
