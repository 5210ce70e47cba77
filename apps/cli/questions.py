"""Commands that search and ask."""

from __future__ import annotations

from typing import Annotated

import typer

from apps.cli.shell import AsJson, AsPrincipal, actor, asker, emit, notes, opened_home, say
from apps.rendering import ABSTENTIONS, answer_json, search_json
from core.answers import Answer, SearchResult


def add_to(top: typer.Typer) -> None:
    """Add `search` and `ask` to the top level."""
    top.command()(search)
    top.command()(ask)


def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    as_: AsPrincipal,
    k: Annotated[int, typer.Option("-k", help="How many passages.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Ranked passages that a person may read."""
    with opened_home() as home:
        result, audit_id = home.search.search(query, asker(home, as_), k, actor())
    emit(as_json, search_json(result, audit_id), lambda: _render_hits(result))


def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    as_: AsPrincipal,
    conversation: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Ask on in a conversation of this person; `new` begins one and names it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """A grounded answer, every sentence with its footnote; or the reason why there is none."""
    with opened_home() as home:
        principal = asker(home, as_)
        if conversation is None:
            answer = home.ask.ask(question, principal, actor())
        else:
            conversation_id = home.conversations.create(principal) if conversation == "new" else conversation
            answer = home.conversing.ask(question, principal, actor(), conversation_id)
    emit(as_json, answer_json(answer), lambda: render_answer(answer))


def render_answer(answer: Answer) -> None:
    """An answer as a terminal shows it: the text, its footnotes, and the record's id."""
    say(answer.text if not answer.abstained else ABSTENTIONS[answer.reason or "no_evidence"])
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
