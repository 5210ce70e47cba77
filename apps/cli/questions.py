"""Commands that search and ask."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import closing
from typing import Annotated

import typer

from apps.cli import filtering
from apps.cli.shell import AsJson, AsPrincipal, actor, asker, emit, notes, opened_home, say
from apps.rendering import ABSTENTIONS, answer_json, search_json
from core.answers import Answer, SearchResult
from core.principals import Principal
from generation.compose import following
from generation.service import Answered, AskEvent, SentenceChecked
from retrieval.filters import Filters
from wiring.home import Home


def add_to(top: typer.Typer) -> None:
    """Add `search` and `ask` to the top level."""
    top.command()(search)
    top.command()(ask)


def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    as_: AsPrincipal,
    k: Annotated[int, typer.Option("-k", help="How many passages.")] = 10,
    source: filtering.Sources = None,
    path: filtering.Paths = None,
    type_: filtering.Types = None,
    since: filtering.Since = None,
    until: filtering.Until = None,
    language: filtering.Languages = None,
    label: filtering.Labels = None,
    as_json: AsJson = False,
) -> None:
    """Ranked passages that a person may read."""
    filters = filtering.chosen(source, path, type_, since, until, language, label)
    with opened_home() as home:
        result, audit_id = home.search.search(query, asker(home, as_), k, actor(), filters)
    emit(as_json, search_json(result, audit_id), lambda: _render_hits(result))


def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    as_: AsPrincipal,
    conversation: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Ask on in a conversation of this person; `new` begins one and names it."),
    ] = None,
    source: filtering.Sources = None,
    path: filtering.Paths = None,
    type_: filtering.Types = None,
    since: filtering.Since = None,
    until: filtering.Until = None,
    language: filtering.Languages = None,
    label: filtering.Labels = None,
    as_json: AsJson = False,
) -> None:
    """A grounded answer, every sentence with its footnote; or the reason why there is none.

    On a terminal each sentence is shown once it is checked; Ctrl-C ends the writing.
    """
    filters = filtering.chosen(source, path, type_, since, until, language, label)
    as_written = sys.stdout.isatty() and not as_json
    with opened_home() as home:
        principal = asker(home, as_)
        if conversation == "new":
            conversation = home.conversations.create(principal)
        if as_written:
            answer = _show_as_written(_stream(home, question, principal, conversation, filters))
        elif conversation is not None:
            answer = home.conversing.ask(question, principal, actor(), conversation, filters)
        else:
            answer = home.ask.ask(question, principal, actor(), filters)
    if as_written:
        _render_footnotes(answer)
    else:
        emit(as_json, answer_json(answer), lambda: render_answer(answer))


def render_answer(answer: Answer) -> None:
    """An answer as a terminal shows it: the text, its footnotes, and the record's id."""
    say(_spoken(answer))
    _render_footnotes(answer)


def _stream(
    home: Home, question: str, principal: Principal, conversation_id: str | None, filters: Filters
) -> Generator[AskEvent, None, None]:
    if conversation_id is not None:
        return home.conversing.stream(question, principal, actor(), conversation_id, filters)
    return home.ask.stream(question, principal, actor(), filters)


def _show_as_written(events: Generator[AskEvent, None, None]) -> Answer:
    """Show each sentence as it comes, or the abstention; the whole answer."""
    shown = ""
    try:
        with closing(events):
            for event in events:
                match event:
                    case SentenceChecked(text):
                        piece = following(shown, text)
                        shown += piece
                        say(piece, end="")
                    case Answered(answer):
                        if answer.abstained:
                            say(f"\n{_spoken(answer)}" if shown else _spoken(answer), end="")
                            shown = _spoken(answer)
                        return answer
    finally:
        # What comes next, the footnotes or what broke it off, has a line of its own.
        if shown:
            say()
    raise AssertionError("a stream that nobody cancelled ended without its answer")


def _spoken(answer: Answer) -> str:
    return ABSTENTIONS[answer.reason or "no_evidence"] if answer.abstained else answer.text


def _render_footnotes(answer: Answer) -> None:
    if answer.citations:
        say()
    for citation in answer.citations:
        page = f", page {citation.page}" if citation.page else ""
        say(f"[{citation.marker}] {citation.title} ({citation.external_id}{page}): “{citation.quote}”")
    for near in answer.nearest:
        say(f"  near: {near.title} ({near.external_id})")
    if answer.rewritten_question:
        notes.print("searched: ", answer.rewritten_question, style="dim", markup=False)
    notes.print(f"record {answer.audit_id}", style="dim")
    if answer.conversation_id:
        notes.print(f"conversation {answer.conversation_id}", style="dim")


def _render_hits(result: SearchResult) -> None:
    if not result.hits:
        say("There is nothing here that you may read.")
    for hit in result.hits:
        page = f", page {hit.passage.page}" if hit.passage.page else ""
        say(f"{hit.rank}. {' > '.join((hit.passage.title, *hit.passage.heading))} ({hit.passage.external_id}{page})")
        say(f"   {' '.join(hit.passage.text.split())[:300]}")
        if hit.also_in:
            say(f"   also in: {', '.join(dict.fromkeys(one.external_id for one in hit.also_in))}")
