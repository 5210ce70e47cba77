"""What the bot posts: words that stay words, and links to cited documents and nowhere else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from slack_double import BOT_TOKEN, SlackDouble, slack_double
from slack_home import PUBLIC_URL, SlackHome, slack_home, slack_settings
from slack_reader import reached_from
from worst_outputs import worst_outputs

from apps.slack.blocks import Shareable, answer_blocks, buttons, document_url, question_blocks, shared_blocks
from apps.slack.client import Slack, web_client
from core.answers import Answer, Citation, Claim
from core.principals import parse_principal

HOSTS = ("evil.com", "a.evil.org", "evil.example", "xn--80ak6aa92e.com", "203.0.113.7")
FORMS = (
    "https://{}/?q=18+million",
    "http://{}/x.png",
    "HTTPS://{}/x",
    "//{}/x.png",
    "www.{}/x",
    "{}/collect?d=1",
    "<https://{}/x|the handbook>",
    "<https://{}/x>",
    "<//{}/x|the handbook>",
    "[the handbook](https://{}/x)",
    "![chart](https://{}/x.png)",
    "![chart][1]\n\n[1]: https://{}/x.png",
    '<img src="https://{}/x.png">',
    '<a href="https://{}/x">here</a>',
    "data:image/png;base64,aHR0cHM6Ly97fQ==,{}",
    "javascript:fetch('https://{}')",
    "mailto:ana@{}",
    "ftp://{}/x",
    "slack://channel?team=T1&id={}",
    "https:\u200b//{}/x",
    "ht\u00adtps://{}/x",
    "https://\u2060{}/x",
    "ｈｔｔｐｓ://{}/x",
    "<!channel> https://{}",
    "<mailto:ana@{}|write>",
    "[1](https://{}/x)",
)
AROUND = ("{}", "The price is {}, they say.", "({})", "`{}` [1]")
TOGETHER = 10
"""Answers in one message: as many as fit, since each message is a request."""
WORST = [around.format(form.format(host)) for form, host, around in itertools.product(FORMS, HOSTS, AROUND)]


@pytest.fixture(scope="module")
def slack() -> Iterator[SlackDouble]:
    with slack_double() as double:
        double.person("UANA")
        double.channel("CTEAM", "UANA")
        yield double


@pytest.fixture(scope="module")
def client(slack: SlackDouble) -> Slack:
    return Slack(web_client(BOT_TOKEN, slack.api_url))


def answer_of(text: str) -> Answer:
    """An answer in which a model, a document and its owner wrote the worst that they can."""
    citation = Citation(1, "d" * 32, 3, "handbook", text, text, text, (text,), None, 0, len(text), text)
    return Answer(
        question=text,
        principal=parse_principal("user:ana"),
        text=f"{text} [1] {text} [2]",
        abstained=False,
        reason=None,
        citations=(citation,),
        claims=(Claim(text, (1,), 1.0),),
        mode="vllm",
        model="any",
        audit_id="0" * 36,
    )


def test_there_are_five_hundred_of_the_worst() -> None:
    assert len(set(WORST)) > 500


def test_nothing_becomes_a_link_or_an_image_but_the_cited_documents(slack: SlackDouble, client: Slack) -> None:
    for text in WORST:
        answer = answer_of(text)
        direct = slack.direct("UANA")
        shareable = Shareable("0" * 32, answer.audit_id, "CTEAM", "1.1")
        client.post(direct, "An answer.", question_blocks(text, "CTEAM"))
        client.post(direct, "An answer.", [*answer_blocks(answer, PUBLIC_URL), *buttons(answer, shareable)])
        client.post("CTEAM", "An answer.", shared_blocks(answer, PUBLIC_URL, "UANA"))
        question, private, public = slack.messages[-3:]

        cited = {document_url(PUBLIC_URL, answer.citations[0])}
        assert reached_from(question) == set(), text
        assert reached_from(private) == reached_from(public) == cited, text


def test_none_of_five_thousand_worst_outputs_of_a_model_reaches_anything_but_the_cited_documents(
    slack: SlackDouble, client: Slack
) -> None:
    outputs = list(worst_outputs(5_000))
    wrong = []
    for at in range(0, len(outputs), TOGETHER):
        answers = [answer_of(text) for text in outputs[at : at + TOGETHER]]
        client.post("CTEAM", "An answer.", [block for one in answers for block in answer_blocks(one, PUBLIC_URL)])
        cited = {document_url(PUBLIC_URL, one.citations[0]) for one in answers}
        if (reached := reached_from(slack.messages[-1])) != cited:
            wrong.append(reached - cited)

    assert len(set(outputs)) > 4_500
    assert wrong == []


def test_the_double_sees_each_of_the_worst_where_nobody_disarms_it(slack: SlackDouble, client: Slack) -> None:
    seen = 0
    for text in WORST:
        words = [{"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}]
        client.post("CTEAM", "An answer.", [{"type": "rich_text", "elements": words}])
        seen += bool(reached_from(slack.messages[-1]))
    assert seen / len(WORST) > 0.8


def test_nobody_is_notified_and_nothing_is_formatted_by_the_words_of_an_answer(
    slack: SlackDouble, client: Slack
) -> None:
    text = "*bold* _it_ ~no~ `code` :tada: <!channel> <!here> <@UBEN> <#CTEAM> @here"
    client.post("CTEAM", "An answer.", answer_blocks(answer_of(text), PUBLIC_URL))

    message = slack.messages[-1]

    kinds = {element["type"] for part in message.blocks[0]["elements"] for element in part["elements"]}
    assert kinds == {"text", "link"}
    assert not any(element.get("style") for part in message.blocks[0]["elements"] for element in part["elements"])
    assert "*bold* _it_ ~no~ `code` :tada:" in message.words()


def test_the_longest_answer_fits_into_a_message_and_says_that_it_was_cut(slack: SlackDouble, client: Slack) -> None:
    long = answer_of("word " * 20_000)
    many = tuple(
        Citation(n, "d" * 32, 3, "s", "e" * 500, "", "t" * 500, (), 7, 0, 9, "q" * 5_000) for n in range(1, 60)
    )
    for answer in (long, answer_of("ß" * 60_000), Answer(**{**vars(long), "citations": many})):
        client.post("CTEAM", "An answer.", shared_blocks(answer, PUBLIC_URL, "UANA"))
        assert "…" in slack.messages[-1].words()


def test_markers_link_where_they_stand_and_only_those_that_are_footnotes(slack: SlackDouble, client: Slack) -> None:
    client.post("CTEAM", "An answer.", answer_blocks(answer_of("It is so"), PUBLIC_URL))

    elements = slack.messages[-1].blocks[0]["elements"][0]["elements"]

    assert [element["type"] for element in elements] == ["text", "link", "text"]
    assert [element["text"] for element in elements] == ["It is so ", "[1]", " It is so [2]"]


def test_a_document_that_holds_an_address_is_quoted_without_one(tmp_path: Path) -> None:
    with slack_double() as double, slack_home(slack_settings(tmp_path / "home", double), double) as bot:
        bot.add(
            "canteen.md", b"# Canteen\n\nThe canteen menu is at https://evil.com/menu.png every Monday.\n", ["everyone"]
        )

        (answer,) = bot.after(double.direct_message("UBEN", "Where is the canteen menu?"))

        assert "evil[.]com" in answer.words()
        assert all(url.startswith(f"{PUBLIC_URL}/#document=") for url in reached_from(answer))
        assert _shared_addresses(bot) == set()


def _shared_addresses(bot: SlackHome) -> set[str]:
    """What can be reached from the echo of a question that holds an address."""
    messages = bot.after(bot.slack.mention("UBEN", "CTEAM", "Is <https://evil.com/x|this> the canteen menu?"))
    return {url for message in messages for url in reached_from(message) if not url.startswith(PUBLIC_URL)}
