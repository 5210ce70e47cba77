"""Batches as people reach them: a file of questions comes in, is worked off, and a file of results goes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pathspec
from sqlalchemy.orm import Session

from catalog.job_queue import NewJob
from core.batches import BatchResult, QuestionSheet
from core.documents import content_hash
from core.errors import LimitExceeded, UnreadableDocument, WrongUsage
from core.principals import Principal
from generation.batch.reading import read_csv, read_jsonl, read_xlsx
from generation.batch.results import Format, format_of, write_results
from generation.batch.running import PRIORITY
from governance.batch_results import WITHHELD
from governance.batch_rows import row_subject
from governance.batch_sealing import About
from governance.batches import BatchView
from ingest.parsing.charsets import decode, looks_like_text
from ingest.parsing.office_package import DAMAGE, damaged, vetted_package
from wiring.home import Home
from workers.batch import KIND, QUEUE
from workers.doorbell import ring

MAX_FILE_BYTES = 20_000_000
"""Largest file of questions."""

# Jobs that are added in one transaction.
_SLICE = 500


def read_questions(name: str, data: bytes) -> QuestionSheet:
    """The questions of a file, read as its suffix says, in whatever encoding it has.

    Raises `WrongUsage`, `LimitExceeded` or `UnreadableDocument`, each saying what is wrong with the file.
    """
    if len(data) > MAX_FILE_BYTES:
        raise LimitExceeded(f"The file is longer than the limit of {MAX_FILE_BYTES:,} bytes; split it.")
    form = format_of(name)
    if form == "xlsx":
        return read_xlsx(_vetted(data))
    if data and not looks_like_text(data):
        raise UnreadableDocument("malformed", f"The file holds no text; save it as {form.upper()} and try again.")
    return read_csv(decode(data)) if form == "csv" else read_jsonl(decode(data))


def _vetted(workbook: bytes) -> bytes:
    try:
        return vetted_package(workbook)
    except DAMAGE as error:
        raise damaged("workbook", "Excel", error) from error


@dataclass
class Written:
    """What was written of a batch: how many rows of each kind."""

    answered: int = 0
    abstained: int = 0
    withheld: int = 0
    failed: int = 0

    def count(self, results: Iterator[BatchResult]) -> Iterator[BatchResult]:
        """The results, counted as they pass."""
        for result in results:
            if result.answer is not None:
                self.abstained += result.answer.abstained
                self.answered += not result.answer.abstained
            elif result.error == WITHHELD:
                self.withheld += 1
            else:
                self.failed += 1
            yield result


@dataclass(frozen=True)
class BatchDesk:
    """The batches of one person, on whose behalf `actor` acts."""

    home: Home
    principal: Principal
    actor: str

    def fingerprint(self, name: str, data: bytes, pattern: str | None) -> str:
        """By what a run over the same file in the same mode is found again."""
        return self.home.batches.fingerprint(
            self.principal, (format_of(name), content_hash(data), "" if pattern is None else f"={pattern}")
        )

    def begin(self, name: str, sheet: QuestionSheet, pattern: str | None, fingerprint: str | None = None) -> str:
        """A new batch, whose rows `load` adds; its id."""
        documents = () if pattern is None else self._documents(pattern)
        about = About(self.principal, self.actor, Path(name).name[:255], sheet.columns, pattern, documents)
        return self.home.batches.create(about, sheet.rows, fingerprint)

    def load(self, batch_id: str, sheet: QuestionSheet, *, with_jobs: bool) -> None:
        """Add the rows that are not there yet, each with its job in the same transaction if there are to be any."""
        ids: list[str] = []

        def add_jobs(session: Session, ordinals: Sequence[int]) -> None:
            ids.extend(self.home.jobs.add(session, self._jobs(batch_id, ordinals)))

        self.home.batches.load(self.principal, batch_id, sheet.rows, add_jobs if with_jobs else None)
        ring(self.home, ids)

    def schedule(self, batch_id: str) -> None:
        """Add a job for every row that waits and has none."""
        ordinals = self.home.batch_runner.rows.without_job(batch_id)
        for at in range(0, len(ordinals), _SLICE):
            ring(self.home, self.home.jobs.enqueue(self._jobs(batch_id, ordinals[at : at + _SLICE])))

    def view(self, batch_id: str) -> BatchView:
        """How far a batch is, rows counted as failed whose jobs were given up."""
        view = self.home.batches.view(self.principal, batch_id)
        if view.state in ("loading", "running"):
            self.home.batch_runner.rows.settle_dead(batch_id)
            view = self.home.batches.view(self.principal, batch_id)
        return view

    def write(self, batch_id: str, form: Format, target: IO[bytes]) -> Written:
        """Write what came of every row, as its owner may see it now; on record before."""
        about = self.home.batches.about(self.principal, batch_id)
        results = self.home.batch_results.read(self.principal, batch_id, self.actor)
        written = Written()
        columns, grid = (about.columns, about.pattern is not None) if about else ((), False)
        write_results(target, form, columns, written.count(results), grid)
        return written

    def _jobs(self, batch_id: str, ordinals: Sequence[int]) -> list[NewJob]:
        return [
            NewJob(KIND, QUEUE, row_subject(batch_id, ordinal), group_id=batch_id, priority=PRIORITY)
            for ordinal in ordinals
        ]

    def _documents(self, pattern: str) -> tuple[str, ...]:
        """The documents of a grid: those that the person may read now and whose external id fits the pattern."""
        try:
            spec = pathspec.GitIgnoreSpec.from_lines([pattern])
        except ValueError as error:
            raise WrongUsage(f"{pattern!r} is no pattern: write legal/** or *.pdf, as in .gitignore.") from error
        views = self.home.gate.documents(self.principal)
        found = tuple(view.document_id for view in views if view.version and spec.match_file(view.external_id))
        if not found:
            raise WrongUsage(f"No document that {self.principal} may read fits {pattern!r}; nothing was asked.")
        return found
