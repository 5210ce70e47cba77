"""Commands that answer files of questions."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, TaskID

from apps.batches import MAX_FILE_BYTES, BatchDesk, Written, read_questions
from apps.cli.operations import progress_bar
from apps.cli.shell import (
    AsJson,
    AsPrincipal,
    actor,
    asker,
    emit,
    flags,
    notes,
    opened_home,
    require_place,
    results,
    say,
    table,
    warn,
)
from apps.rendering import batch_failures_json, batch_json
from catalog.lock import writer_lock
from core.cancellation import Cancellation
from core.errors import Conflict, WrongUsage
from generation.batch.results import format_of, write_file
from governance.batches import BatchView

app = typer.Typer(no_args_is_help=True)

# How often a batch that workers answer is looked at, and how long none of its rows may move before a word about it.
_LOOK_SECONDS = 0.5
_QUIET_SECONDS = 15.0
# A model answers many questions at once; quoting takes this machine's processor.
_PARALLEL_WITH_MODEL = 16

Asked = Annotated[str, typer.Argument(metavar="BATCH", help="A batch, by its id.")]


@app.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Questions: .csv, .jsonl or .xlsx.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the answers go: .csv, .jsonl or .xlsx.")],
    as_: AsPrincipal,
    per_document: Annotated[
        str | None,
        typer.Option(metavar="GLOB", help="Ask every question of each document that fits, written as in .gitignore."),
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Forget earlier answers to this file and ask again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Answer a file of questions as a person. Safe to interrupt; the same command goes on where it stopped."""
    form = format_of(out.name)
    require_place(out)
    data = _read(file)
    if out.exists() and out.samefile(file):
        raise WrongUsage(f"--out {out} is the file of questions itself; name another file for the answers.")
    if flags.own_process:
        os.nice(10)  # whoever asks while a batch runs comes first
    began = time.monotonic()
    with opened_home() as home:
        desk = BatchDesk(home, asker(home, as_), actor())
        fingerprint = desk.fingerprint(file.name, data, per_document)
        home.layout.batch_locks.mkdir(mode=0o700, exist_ok=True)
        lock = home.layout.batch_locks / f"{fingerprint[:32]}.lock"
        with writer_lock(lock, "footnote batch run", timedelta(seconds=home.settings.writer_wait_s)):
            batch_id = _begun(desk, file, data, per_document, fingerprint, anew)
            before = desk.view(batch_id)
            _work_off(desk, batch_id, before)
            written: list[Written] = []
            write_file(out, lambda target: written.append(desk.write(batch_id, form, target)))
        record = _record(desk, batch_id, written[0])
    record |= {
        "resumed": before.rows.get("answered", 0),
        "seconds": round(time.monotonic() - began, 3),
        "out": str(out),
    }
    emit(as_json, record, lambda: _render(record))
    if record["failures"]:
        raise typer.Exit(3)


@app.command("list")
def list_batches(as_: AsPrincipal, as_json: AsJson = False) -> None:
    """List a person's batches."""
    with opened_home() as home:
        views = home.batches.listed(asker(home, as_))

    def render() -> None:
        rows = table("batch", "file", "state", "rows", "waiting", "begun")
        for view in views:
            begun = f"{view.created:%F %T} UTC"
            rows.add_row(view.batch_id, view.name, view.state, str(view.total), str(view.waiting), begun)
        results.print(rows)

    emit(as_json, [batch_json(view) for view in views], render)


@app.command()
def delete(batch: Asked, as_: AsPrincipal, as_json: AsJson = False) -> None:
    """Delete a batch: its questions and its answers. The audit records stay."""
    with opened_home() as home:
        home.batches.delete(asker(home, as_), batch, actor())
    emit(as_json, {"deleted": batch}, lambda: say(f"Deleted {batch}."))


def _read(file: Path) -> bytes:
    """The file's bytes, one more than are allowed at most."""
    format_of(file.name)
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise WrongUsage(f"{file} cannot be read ({error.strerror}).") from error


def _begun(desk: BatchDesk, file: Path, data: bytes, per_document: str | None, fingerprint: str, anew: bool) -> str:
    """The batch of this file, mode and person, with all its rows: an earlier one goes on."""
    batches = desk.home.batches
    found = batches.find(desk.principal, fingerprint)
    if found is not None and anew:
        batches.delete(desk.principal, found, desk.actor)
        found = None
    sheet = read_questions(file.name, data)
    batch_id = found or desk.begin(file.name, sheet, per_document, fingerprint)
    if found is not None:
        batches.reopen(desk.principal, batch_id)
    desk.load(batch_id, sheet, with_jobs=desk.home.settings.redis_url is not None)
    return batch_id


def _work_off(desk: BatchDesk, batch_id: str, before: BatchView) -> None:
    """Answer what waits: on threads of this process, or by the workers where there is a broker."""
    with progress_bar() as bar:
        task = bar.add_task(f"Answering {before.name}", total=before.total, completed=before.total - before.waiting)
        if desk.home.settings.redis_url is None:
            parallel = _PARALLEL_WITH_MODEL if desk.home.chat_model else desk.home.settings.job_threads
            desk.home.batch_runner.run(batch_id, parallel, Cancellation(), lambda: bar.advance(task))
        else:
            desk.schedule(batch_id)
            _follow(desk, batch_id, bar, task)
    if desk.view(batch_id).state == "cancelled":
        raise Conflict(f"The batch {batch_id} was cancelled; nothing was written. Run the same command to go on.")


def _follow(desk: BatchDesk, batch_id: str, bar: Progress, task: TaskID) -> None:
    """Show how far the workers are until no row waits."""
    moved, waiting = time.monotonic(), -1
    while (view := desk.view(batch_id)).state in ("loading", "running"):
        bar.update(task, completed=view.total - view.waiting)
        if view.waiting != waiting:
            moved, waiting = time.monotonic(), view.waiting
        elif time.monotonic() - moved > _QUIET_SECONDS:
            notes.print("Waiting for workers: `footnote worker --beat` starts one.")
            moved = time.monotonic()
        time.sleep(_LOOK_SECONDS)


def _record(desk: BatchDesk, batch_id: str, written: Written) -> dict[str, Any]:
    failures = desk.home.batch_results.failures(desk.principal, batch_id)
    return {
        "batch_id": batch_id,
        "principal": str(desk.principal),
        "rows": desk.view(batch_id).total,
        **vars(written),
        "failures": batch_failures_json(failures),
    }


def _render(record: dict[str, Any]) -> None:
    say(
        f"{record['rows']} rows in {record['seconds']:.1f} s: {record['answered']} answered, {record['abstained']} "
        f"without an answer in the documents, {record['failed']} failed. {record['out']} holds them."
    )
    if record["resumed"]:
        say(f"{record['resumed']} of them were answered before; --anew asks them again.")
    if record["withheld"]:
        warn(f"{record['withheld']} answers are withheld: what they cite may not be read any more.")
    for failure in record["failures"]:
        document = f" ({failure['document_id']})" if failure["document_id"] else ""
        notes.print(f"  line {failure['line']}{document}: {failure['error']}", markup=False)
