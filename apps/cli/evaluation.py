"""Commands that measure: quality on labelled sets, speed beside peers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from apps.cli.shell import AsJson, emit, notes, require_place, results, say, settings, warn
from core.errors import WrongUsage


def add_to(top: typer.Typer) -> None:
    """Add `eval` and `bench` to the top level."""
    top.command("eval")(evaluate_sets)
    top.command()(bench)


def evaluate_sets(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Labelled sets.")],
    run: Annotated[Path | None, typer.Option(help="Write the document ranking here (TREC run format).")] = None,
    answers: Annotated[Path | None, typer.Option(help="Write every answer here, one JSON line each.")] = None,
    retrieval_only: Annotated[bool, typer.Option("--retrieval-only", help="Do not ask; only search.")] = False,
    baseline: Annotated[Path | None, typer.Option(help="An earlier --json result; exit 1 on a regression.")] = None,
    questions: Annotated[Path | None, typer.Option(help="Ask another set's questions over these documents.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask only so many questions, evenly spread.")] = None,
    keep_home: Annotated[Path | None, typer.Option(help="Keep the home that was built for the set here.")] = None,
    conversations: Annotated[
        bool, typer.Option("--conversations", help="Search follow-up questions as asked, rewritten, and concatenated.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Quality on labelled sets, each ingested into a home of its own."""
    from evaluation.baseline import compare, read_baseline
    from evaluation.run import EvalOptions, evaluate

    if conversations:
        compare_conversations(folders, as_json)
        return
    if len(folders) > 1 and (run or answers or keep_home):
        raise WrongUsage("--run, --answers and --keep-home take one set at a time.")
    for file in filter(None, (run, answers)):
        require_place(file)
    earlier = read_baseline(baseline) if baseline else {}
    options = EvalOptions(
        settings().settings,
        retrieval_only=retrieval_only,
        run_file=run,
        answers_file=answers,
        questions=questions,
        limit=limit,
        keep_home=keep_home,
    )
    found = [evaluate(folder, options) for folder in folders]
    emit(as_json, found[0] if len(found) == 1 else found, lambda: _render(found))
    if baseline:
        for name in (result["set"] for result in found if result["set"] not in earlier):
            warn(f"{baseline} knows nothing of {name}: it is not compared.")
    regressions = [one for result in found for one in compare(result, earlier.get(result["set"], {}))]
    for regression in regressions:
        notes.print(f"[red]Regression:[/] {regression}")
    if regressions:
        raise typer.Exit(1)


def compare_conversations(folders: Sequence[Path], as_json: bool) -> None:
    """How follow-up questions are found, by how they are searched."""
    from evaluation.conversations import evaluate_conversations

    found = [evaluate_conversations(folder, settings().settings) for folder in folders]
    emit(as_json, found[0] if len(found) == 1 else found, lambda: _render(found))


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="embed, search, audit, answer.")
    ] = None,
    url: Annotated[str, typer.Option(help="For answer: a vLLM that runs, http://host:8000/v1.")] = "",
    model: Annotated[str, typer.Option(help="For answer: the name of its model, if not the first.")] = "",
    as_json: AsJson = False,
) -> None:
    """Speed, side by side with peers in one run where they are installed; without a NAME, every bench."""
    from evaluation.bench import BENCHES
    from evaluation.bench.answer import run_answer
    from evaluation.bench.tiny_vllm import Served

    chosen = names or list(BENCHES)
    unknown = [name for name in chosen if name not in BENCHES]
    if unknown:
        raise WrongUsage(f"{unknown[0]!r} is no bench; there are {', '.join(BENCHES)}.")
    served = Served(url, _vllm_key(), model) if url else None
    reports = [run_answer(served) if name == "answer" else BENCHES[name]() for name in chosen]
    documents = [report.to_json() for report in reports]

    def render() -> None:
        for report in reports:
            report.print_to(results)

    emit(as_json, documents[0] if len(documents) == 1 else documents, render)


def _vllm_key() -> str | None:
    key = settings().settings.vllm_api_key
    return key.get_secret_value() if key else None


def _render(found: list[dict[str, Any]]) -> None:
    for result in found:
        say(f"{result['set']}  ({result['seconds']} s)")
        for part, figures in result.items():
            if part in ("set", "seconds"):
                continue
            say(f"  {part}: {_flat(figures)}")


def _flat(figures: Any) -> str:
    if not isinstance(figures, dict):
        return str(figures)
    parts = (
        f"{name} ({_flat(value)})" if isinstance(value, dict) else f"{name} {value}" for name, value in figures.items()
    )
    return "  ".join(parts)
