"""Commands that measure: quality on labelled sets, speed beside peers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from apps.cli.shell import AsJson, emit, notes, require_place, results, say, settings, warn
from core.errors import WrongUsage

if TYPE_CHECKING:
    from evaluation.bench.report import BenchReport


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
    ablation: Annotated[
        bool, typer.Option("--ablation", help="Rank with each part of the method left out, and by each part alone.")
    ] = False,
    peers: Annotated[
        bool, typer.Option("--peers", help="Read a set of documents with markitdown too, installed on first use.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Quality on labelled sets, each ingested into a home of its own."""
    from evaluation.baseline import compare, read_baseline
    from evaluation.run import EvalOptions, evaluate

    if conversations:
        compare_conversations(folders, as_json)
        return
    if ablation:
        compare_parts(folders, as_json)
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
        peers=peers,
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


def compare_parts(folders: list[Path], as_json: bool) -> None:
    """nDCG@10 of every variant of the ranking, for each set."""
    from evaluation.ablation import ablate

    found = ablate(folders, settings().settings)

    def render() -> None:
        names = list(found.figures)
        results.print(" | ".join(["variant", *names, "mean"]))
        for variant in next(iter(found.figures.values())):
            values = [found.figures[name][variant][0] for name in names]
            results.print(" | ".join([variant, *(f"{value:.3f}" for value in [*values, sum(values) / len(values)])]))
        results.print(f"Least beyond the better of words and meaning alone: {found.worst_against_alone():+.3f}")
        if len(names) > 1:
            weight, tuned, left_out = found.chosen_on(names), found.tuned(), found.left_out()
            results.print(f"Dense weight {weight}: {tuned:.4f}; each set under the others' choice: {left_out:.4f}")

    emit(as_json, found.to_json(), render)


def compare_conversations(folders: Sequence[Path], as_json: bool) -> None:
    """How follow-up questions are found, by how they are searched."""
    from evaluation.conversations import evaluate_conversations

    found = [evaluate_conversations(folder, settings().settings) for folder in folders]
    emit(as_json, found[0] if len(found) == 1 else found, lambda: _render(found))


def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="embed, search, scan, lexical, access, audit, answer, ingest, filtered, "
            "ranking, readers, publish, engines.",
        ),
    ] = None,
    url: Annotated[str, typer.Option(help="For answer: a vLLM that runs, http://host:8000/v1.")] = "",
    model: Annotated[str, typer.Option(help="For answer: the name of its model, if not the first.")] = "",
    folder: Annotated[Path | None, typer.Option(help="For ingest: bring these documents in.")] = None,
    documents: Annotated[int, typer.Option(min=5, help="For ingest: how many to write, without --folder.")] = 240,
    chunks: Annotated[int, typer.Option(min=1_000, help="For filtered and scan: how many to search.")] = 100_000,
    peer: Annotated[
        list[str] | None, typer.Option(help="For filtered: beside this peer only; more than once for several.")
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option(help="For scan: a folder with vectors.npy and queries.npy to search instead.")
    ] = None,
    sets: Annotated[Path | None, typer.Option(help="For ranking: the labelled sets, or one of them.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="For ranking: only so many questions of each set.")] = None,
    as_json: AsJson = False,
) -> None:
    """Side by side with peers in one run where they are installed; without a NAME, every bench, ranking with --sets."""
    from evaluation.bench import BENCHES
    from evaluation.bench.answer import run_answer
    from evaluation.bench.engines import run_engines
    from evaluation.bench.filtered import FilteredBench, run_filtered
    from evaluation.bench.ingest import IngestBench, run_ingest
    from evaluation.bench.publish import run_publish
    from evaluation.bench.ranking import RankingBench, run_ranking
    from evaluation.bench.scan import ScanBench, run_scan
    from evaluation.bench.tiny_vllm import Served
    from evaluation.peers.stores import STORES, peers_named

    chosen = names or [name for name in BENCHES if name != "ranking" or sets]
    unknown = [name for name in chosen if name not in BENCHES]
    if unknown:
        raise WrongUsage(f"{unknown[0]!r} is no bench; there are {', '.join(BENCHES)}.")
    served = Served(url, _vllm_key(), model) if url else None
    ingest = IngestBench(documents=documents, folder=folder)
    benches: dict[str, Callable[[], BenchReport]]
    benches = {
        **BENCHES,
        "answer": partial(run_answer, served),
        "ingest": partial(run_ingest, ingest),
        "engines": partial(run_engines, chunks),
        "filtered": partial(run_filtered, FilteredBench(chunks, peers=peers_named(peer) if peer else STORES)),
        "scan": partial(run_scan, ScanBench(chunks, vectors=vectors)),
        "publish": partial(run_publish, chunks),
        "ranking": partial(run_ranking, RankingBench(sets, limit=limit, settings=settings().settings)),
    }
    reports = [benches[name]() for name in chosen]
    found = [report.to_json() for report in reports]

    def render() -> None:
        for report in reports:
            report.print_to(results)

    emit(as_json, found[0] if len(found) == 1 else found, render)


def _vllm_key() -> str | None:
    key = settings().settings.vllm_api_key
    return key.get_secret_value() if key else None


def _render(found: list[dict[str, Any]]) -> None:
    for result in found:
        say(f"{result['set']}  ({result['seconds']} s)")
        for part, figures in result.items():
            if part in ("set", "seconds"):
                continue
            if part == "parsing":
                results.print(_parsing_table({"footnote": figures, **result.get("peers", {})}))
            elif part != "peers":
                say(f"  {part}: {_flat(figures)}")


def _parsing_table(readers: dict[str, dict[str, Any]]) -> Table:
    """Each format's figures, a row for each reader."""
    shown = {
        "median_word_recall": "words found",
        "median_word_precision": "words right",
        "headings": "headings",
        "table_rows": "table rows",
    }
    table = Table("format", "documents", "reader", *shown.values())
    for name, ours in readers["footnote"].items():
        for reader, figures in readers.items():
            cells = (figures.get(name, {}).get(figure) for figure in shown)
            format_cells = (name, str(ours["documents"])) if reader == "footnote" else ("", "")
            table.add_row(*format_cells, reader, *("–" if cell is None else f"{cell:.3f}" for cell in cells))
    return table


def _flat(figures: Any) -> str:
    if not isinstance(figures, dict):
        return str(figures)
    parts = (
        f"{name} ({_flat(value)})" if isinstance(value, dict) else f"{name} {value}" for name, value in figures.items()
    )
    return "  ".join(parts)
