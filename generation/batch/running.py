"""Answering the rows of a batch, as the person they are asked for, behind everybody who waits for an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from core.cancellation import Cancellation
from core.errors import AuditUnavailable, FootnoteError, Transient
from generation.answerer import Writing
from generation.service import AskService
from governance.batch_rows import AlsoDo, BatchRows, RowToAsk
from retrieval.filters import NO_FILTERS, Filters

PRIORITY = 10
"""Of a batch's rows, in this process and in the queue of the model."""

# How often a row is asked while a neighbour is down or busy, and how long it waits before each further time.
_TRIES = 3
_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class BatchRunner:
    """Asks rows and keeps what comes of each. A row that cannot be answered does not stop the others."""

    rows: BatchRows
    ask: AskService

    def run_row(
        self, batch_id: str, ordinal: int, cancel: Cancellation | None = None, also: AlsoDo | None = None
    ) -> None:
        """Ask one row with its asker's rights of this moment, and keep the result; nothing where it has one already.

        `also` happens in the transaction that keeps it. Raises `Transient` and `AuditUnavailable`, with which the row
        stays as it was: those are not its own fault.
        """
        row = self.rows.begin(batch_id, ordinal)
        if row is None:
            return
        writing = Writing(priority=PRIORITY, cancel=cancel or Cancellation())
        try:
            answer = self.ask.ask(row.question, row.principal, row.actor, _where(row), writing)
        except (Transient, AuditUnavailable):
            self.rows.give_back(batch_id, ordinal)
            raise
        except FootnoteError as error:
            self.rows.failed(batch_id, ordinal, str(error), also)
            return
        except Exception:
            self.rows.give_back(batch_id, ordinal)
            raise
        if writing.cancel.cancelled:
            self.rows.give_back(batch_id, ordinal)  # it may be half an answer
        else:
            self.rows.answered(batch_id, ordinal, answer, also)

    def run(self, batch_id: str, parallel: int, cancel: Cancellation, tell: Callable[[], object]) -> None:
        """Ask every row that waits on at most `parallel` threads, and call `tell` after each.

        Rows that were being answered when a process died come last and one at a time, so that one that takes the
        process with it again is known from its neighbours. Raises `AuditUnavailable` and stops: without records
        nothing is answered. Cancelled, it returns once the rows that are being answered have been given up.
        """
        suspects = set(self.rows.suspects(batch_id))
        fresh = [ordinal for ordinal in self.rows.waiting(batch_id) if ordinal not in suspects]
        self._ask_all(batch_id, fresh, parallel, cancel, tell)
        self._ask_all(batch_id, sorted(suspects), 1, cancel, tell)

    def _ask_all(
        self, batch_id: str, rows: Sequence[int], parallel: int, cancel: Cancellation, tell: Callable[[], object]
    ) -> None:
        ordinals = iter(rows)
        running: set[Future[None]] = set()
        with ThreadPoolExecutor(parallel, thread_name_prefix="footnote-batch") as pool:
            try:
                while not cancel.cancelled:
                    # No more than run at once are handed to the pool, so that stopping is prompt.
                    while len(running) < parallel and (ordinal := next(ordinals, None)) is not None:
                        running.add(pool.submit(self._row_of_run, batch_id, ordinal, cancel))
                    if not running:
                        return
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for row in done:
                        row.result()
                        tell()
            except BaseException:
                cancel.cancel()
                raise

    def _row_of_run(self, batch_id: str, ordinal: int, cancel: Cancellation) -> None:
        """One row; what fails it, even a bug, is its result."""
        for tries_left in reversed(range(_TRIES)):
            try:
                return self.run_row(batch_id, ordinal, cancel)
            except Transient as error:
                if not tries_left:
                    self.rows.failed(batch_id, ordinal, str(error))
                elif cancel.wait(_PAUSE_SECONDS):
                    return None
            except FootnoteError:
                raise
            except Exception as error:  # noqa: BLE001 - a bug met by one row must not end the others
                # The class alone: the words of a foreign error may quote a document.
                self.rows.failed(batch_id, ordinal, f"a bug: {type(error).__name__}")
                return None
        return None


def _where(row: RowToAsk) -> Filters:
    return Filters(document_ids=(row.document_id,)) if row.document_id else NO_FILTERS
