"""The demonstration: a sample organization brought in, four questions asked as two people, the page left open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
import yaml

from apps.cli.documents import render_report
from apps.cli.operations import progress_bar
from apps.cli.questions import render_answer
from apps.cli.shell import actor, administration, say, settings
from apps.roster import apply_roster, read_roster
from core.principals import parse_principal
from core.settings import Settings
from governance.identity import PERSON_SCOPES
from ingest.sync import FolderRequest, sync_folder
from wiring.home import Home
from wiring.layout import Layout
from wiring.lifecycle import init_home, open_home

_LINK_LIFETIME = timedelta(days=1)


@dataclass(frozen=True)
class DemoQuestion:
    asker: str
    question: str


def demo(
    examples: Annotated[Path, typer.Argument(help="The folder of the sample organization.")] = Path("examples"),
    stop: Annotated[bool, typer.Option("--stop", envvar="DEMO_EXIT", help="Stop after the answers.")] = False,
) -> None:
    """Bring the sample organization in, answer four questions as two people, and serve the page until Ctrl-C."""
    chosen = settings(log_level="warning").settings  # requests would push the links off the screen
    if not Layout(chosen.home).marker.exists():
        init_home(chosen)
    with open_home(chosen) as home:
        _bring_in(home, examples)
        questions = _questions(examples / "questions.yaml")
        for one in questions:
            say(f"\n{one.asker} asks: {one.question}")
            render_answer(home.ask.ask(one.question, parse_principal(one.asker), actor()))
        if stop:
            return
        _serve(home, chosen, list(dict.fromkeys(one.asker for one in questions)))


def _bring_in(home: Home, examples: Path) -> None:
    apply_roster(administration(home), read_roster(examples / "people.yaml"))
    folder = (examples / "organization").resolve()
    request = FolderRequest(folder, "organization", allow=None, access_file=None, prune="yes")
    with progress_bar() as bar:
        task = bar.add_task("Ingesting the sample organization", total=None)
        report = sync_folder(
            home.ingestion,
            home.layout.folder,
            request,
            home.settings.max_document_bytes,
            lambda done, total, _: bar.update(task, completed=done, total=total),
        )
    render_report(report)


def _questions(file: Path) -> list[DemoQuestion]:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return [DemoQuestion(one["as"], one["question"]) for one in content["demo"]]


def _serve(home: Home, chosen: Settings, people: list[str]) -> None:
    from apps.web.server import serve

    address = f"http://{chosen.host}:{chosen.port}"
    say("\nSign in as either of them (the links hold for a day):")
    for person in people:
        _, key = administration(home).create_key("demo", parse_principal(person), PERSON_SCOPES, _LINK_LIFETIME)
        say(f"  {person}: {address}/#key={key}")
    serve(home, chosen.host, chosen.port, ready=lambda url: say(f"Footnote is ready: {url}"))
