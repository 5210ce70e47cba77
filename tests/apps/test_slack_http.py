"""Events over HTTP: only what Slack signed in the last five minutes is looked at, and it acts once."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from slack_double import SIGNING_SECRET, SlackDouble, request_of, signed, slack_double
from slack_home import ABOUT_LEAVE, ABOUT_MERGER, SECRET, SlackHome, slack_home, slack_settings

from apps.slack.serving import PATH
from apps.web.body_limit import JSON_BYTES


@pytest.fixture(scope="module")
def slack() -> Iterator[SlackDouble]:
    with slack_double() as double:
        yield double


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory, slack: SlackDouble) -> Iterator[SlackHome]:
    folder: Path = tmp_path_factory.mktemp("slack") / "home"
    with slack_home(slack_settings(folder, slack), slack) as made:
        yield made


def _changed(body: bytes) -> bytes:
    return body.replace(b"UANA", b"UBEN")


FORGED = {
    "no signature": lambda body, headers: (body, _without(headers, "X-Slack-Signature")),
    "no timestamp": lambda body, headers: (body, _without(headers, "X-Slack-Request-Timestamp")),
    "neither": lambda body, headers: (body, {"Content-Type": headers["Content-Type"]}),
    "an empty signature": lambda body, headers: (body, {**headers, "X-Slack-Signature": ""}),
    "a version alone": lambda body, headers: (body, {**headers, "X-Slack-Signature": "v0="}),
    "another version": lambda body, headers: (
        body,
        {**headers, "X-Slack-Signature": headers["X-Slack-Signature"].replace("v0=", "v1=")},
    ),
    "half a signature": lambda body, headers: (
        body,
        {**headers, "X-Slack-Signature": headers["X-Slack-Signature"][:35]},
    ),
    "a longer signature": lambda body, headers: (
        body,
        {**headers, "X-Slack-Signature": headers["X-Slack-Signature"] + "0"},
    ),
    "the signature in capitals": lambda body, headers: (
        body,
        {**headers, "X-Slack-Signature": headers["X-Slack-Signature"].upper()},
    ),
    "a changed body": lambda body, headers: (_changed(body), headers),
    "a body with a space more": lambda body, headers: (body + b" ", headers),
    "no body": lambda body, headers: (b"", headers),
    "another secret": lambda body, headers: (body, signed(body, secret="0" * 32)),
    "an empty secret": lambda body, headers: (body, signed(body, secret="")),
    "the secret with a space": lambda body, headers: (body, signed(body, secret=SIGNING_SECRET + " ")),
    "a timestamp that was changed": lambda body, headers: (
        body,
        {**headers, "X-Slack-Request-Timestamp": str(int(time.time()) + 1)},
    ),
    "five minutes ago": lambda body, headers: (body, signed(body, at=time.time() - 302)),
    "an hour ago": lambda body, headers: (body, signed(body, at=time.time() - 3600)),
    "five minutes ahead": lambda body, headers: (body, signed(body, at=time.time() + 303)),
    "a timestamp of zero": lambda body, headers: (body, signed(body, at=0)),
    "a timestamp that is no number": lambda body, headers: (body, {**headers, "X-Slack-Request-Timestamp": "now"}),
    "a timestamp with a minus": lambda body, headers: (
        body,
        {**headers, "X-Slack-Request-Timestamp": f"-{headers['X-Slack-Request-Timestamp']}"},
    ),
    "a signature in another script": lambda body, headers: (
        body,
        {**headers, "X-Slack-Signature": ("v0=" + "ａ" * 64).encode()},
    ),
    "a form with the signature of json": lambda body, headers: (urlencode({"payload": body}).encode(), headers),
    "a signature over the body alone": lambda body, headers: (body, {**headers, **_over(body)}),
    "the fields of a retry and nothing else": lambda body, headers: (
        body,
        {"X-Slack-Retry-Num": "1", "X-Slack-Retry-Reason": "http_timeout", "Content-Type": headers["Content-Type"]},
    ),
    "a challenge unsigned": lambda body, headers: (
        json.dumps({"type": "url_verification", "challenge": "x"}).encode(),
        {"Content-Type": "application/json"},
    ),
    "a body that is no json": lambda body, headers: (b"{", signed(b"{", secret="0")),
    "a body that is no text": lambda body, headers: (b"\xff\xfe", signed(b"\xff\xfe", secret="0")),
    "a body nested very deep": lambda body, headers: (b"[" * 200_000, headers),
}


def _without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


def _over(body: bytes) -> dict[str, str]:
    return {"X-Slack-Signature": "v0=" + hmac.new(SIGNING_SECRET.encode(), body, hashlib.sha256).hexdigest()}


@pytest.mark.parametrize("kind", FORGED)
@pytest.mark.parametrize("payload", ["question", "button"])
def test_a_forged_request_is_refused_and_nothing_comes_of_it_where_the_genuine_one_acts(
    bot: SlackHome, kind: str, payload: str
) -> None:
    genuine = bot.slack.direct_message("UANA", ABOUT_LEAVE)
    if payload == "button":
        genuine = bot.slack.press("UANA", bot.after(genuine)[-1], "Helpful")
    body, headers = request_of(genuine)
    forged_body, forged_headers = FORGED[kind](body, headers)
    calls = len(bot.slack.calls)

    response = bot.http.post(PATH, content=forged_body, headers=forged_headers)
    bot.settle()

    assert response.status_code in (400, 401, 500)
    assert len(bot.slack.calls) == calls
    assert bot.after(genuine)


def test_a_request_of_four_minutes_ago_counts_and_replayed_it_acts_once(bot: SlackHome) -> None:
    event = bot.slack.direct_message("UANA", ABOUT_MERGER)
    at = time.time() - 240

    assert SECRET in bot.after(event, at=at)[-1].words()
    assert bot.after(event, at=at) == []


def test_slacks_challenge_is_answered_when_it_is_signed(bot: SlackHome) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1aB10FEMAGAZd4F", "token": "unused"}).encode()

    assert "3eZbrw1aB10FEMAGAZd4F" in bot.http.post(PATH, content=body, headers=signed(body)).text


def test_a_body_over_the_limit_is_refused_before_it_is_read(bot: SlackHome) -> None:
    event = bot.slack.direct_message("UANA", "x" * JSON_BYTES)

    assert bot.deliver(event) == 413


def test_there_is_nothing_else_at_the_address(bot: SlackHome) -> None:
    for method, path in (("GET", PATH), ("GET", "/"), ("POST", "/"), ("GET", "/slack/install"), ("PUT", PATH)):
        assert bot.http.request(method, path).status_code == 404


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"type": "event_callback"},
        {"type": "event_callback", "event": None},
        {"type": "event_callback", "event": []},
        {"type": "event_callback", "team_id": "T0HOME", "event": {"type": "app_mention"}},
        {"type": "event_callback", "team_id": ["T0HOME"], "event_id": {}, "event": {"user": 1, "channel": [], "ts": 2}},
        {"type": "block_actions"},
        {"type": "block_actions", "actions": [], "team": None, "user": "UANA", "container": 7},
        {"type": "block_actions", "actions": [None], "team": {}, "user": {}, "container": {}},
        {"type": "view_submission", "team": {"id": "T0HOME"}, "user": {"id": "UANA"}, "view": {}},
        {"type": "message_action", "team": {"id": "T0HOME"}, "user": {"id": "UANA"}},
        {"command": "/footnote", "team_id": "T0HOME", "user_id": "UANA", "text": "what"},
    ],
    ids=str,
)
def test_a_signed_payload_that_is_none_of_ours_does_nothing(bot: SlackHome, payload: dict[str, object]) -> None:
    body = json.dumps(payload).encode()
    calls = len(bot.slack.calls)

    response = bot.http.post(PATH, content=body, headers=signed(body))
    bot.settle()

    assert response.content in (b"", b'{"error": "unhandled request"}')
    assert len(bot.slack.calls) == calls
