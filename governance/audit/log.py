"""Writing the audit log: records are chained, encrypted and on disk before the caller goes on, or it is refused."""

from __future__ import annotations

import contextlib
import fcntl
import json
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from core.errors import AuditUnavailable, FootnoteError
from core.principals import Principal
from governance.audit.envelope import Kind, Record, iso, mac_of, record_id, seal
from governance.audit.keys import KeyStore, pseudonym_of
from governance.audit.position import Position, WritableChain, open_chain
from governance.audit.table import audit_records, sqlite_engine

_GROUP = 256
"""How many requests share one commit at most."""
_WAITING = 4096
"""How many requests wait at most; more are refused at once, so that a database that hangs fills no memory."""


@dataclass(frozen=True)
class Entry:
    """What one record is to say. `content` is JSON, encrypted; `subject` is whose key encrypts it.

    `subject` is the person whose rights decided or who acted, and None where no person caused it.
    """

    kind: Kind
    subject: Principal | None
    content: Mapping[str, Any]
    audit_id: str


@dataclass(frozen=True)
class Pending:
    """Records on their way to the disk."""

    entries: Sequence[tuple[Entry, bytes]]
    limit_s: float
    due: float  # on the monotonic clock
    written: Future[list[Record]] = field(default_factory=Future)

    def wait(self) -> list[Record]:
        """The records, once they are on disk; raises `AuditUnavailable` if they are not so in time."""
        try:
            return self.written.result(max(0.0, self.due - time.monotonic()))
        except TimeoutError as error:
            self.written.cancel()
            raise AuditUnavailable(f"not on disk after {self.limit_s:g} s") from error


class AuditLog:
    """The only writer of audit records in this process; safe to share between threads.

    `database` is an engine on PostgreSQL (whose schema is there), or the path of a SQLite file, which is made.
    `folder` holds the chains' locks and heads. Nothing is touched before the first record. A thread of its own
    writes, so that a stuck disk or database holds no caller longer than `limit_s`; records that wait together
    share one commit.
    """

    def __init__(self, database: sa.Engine | Path, keys: KeyStore, folder: Path, *, limit_s: float = 2.0) -> None:
        self._database = database
        self._keys = keys
        self._folder = folder
        self._limit_s = limit_s
        self._requests: queue.Queue[Pending | None] = queue.Queue(_WAITING)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def append(self, kind: Kind, subject: Principal | None, content: Mapping[str, Any], audit_id: str) -> Record:
        """Write one record; as `append_all`."""
        return self.append_all([Entry(kind, subject, content, audit_id)])[0]

    def append_all(self, entries: Sequence[Entry]) -> list[Record]:
        """Write records, in order, in one commit; when this returns they are on disk and their head is kept.

        None at all finds out whether the log can be opened. Raises `AuditUnavailable` when they could not be
        written within the limit. A refused record may still come to be written when the database recovers; the
        chain stays whole either way.
        """
        return self.submit(entries).wait()

    def submit(self, entries: Sequence[Entry]) -> Pending:
        """Start writing records while the caller does what needs no record yet, such as embedding a question.

        Nothing may be looked up or shown before `wait` has returned. Raises `AuditUnavailable` when the log is
        closed or too many wait already.
        """
        due = time.monotonic() + self._limit_s
        pending = Pending([(entry, _plaintext(entry)) for entry in entries], self._limit_s, due)
        self._start()
        try:
            self._requests.put_nowait(pending)
        except queue.Full as error:
            raise AuditUnavailable(f"{_WAITING} requests wait for it already") from error
        return pending

    def close(self) -> None:
        """Write what waits and let go of the chain; records after this are refused."""
        with self._starting:
            self._closed = True
            if self._thread:
                # Where the writer hangs, the process ends without it.
                with contextlib.suppress(queue.Full):
                    self._requests.put(None, timeout=self._limit_s)
                self._thread.join(self._limit_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        with self._starting:
            if self._closed:
                raise AuditUnavailable("the audit log has been closed")
            if self._thread is None:
                # A daemon: a commit that hangs must not keep the process from ending.
                self._thread = threading.Thread(target=self._write_requests, name="audit-writer", daemon=True)
                self._thread.start()

    def _write_requests(self) -> None:
        writer = _Writer(self._database, self._keys, self._folder, self._limit_s)
        closing = False
        while not closing:
            waiting = [self._requests.get()]
            while waiting[-1] is not None and len(waiting) < _GROUP and not self._requests.empty():
                waiting.append(self._requests.get())
            closing = waiting[-1] is None
            _answer(writer, [r for r in waiting if r is not None and r.written.set_running_or_notify_cancel()])
        writer.close()


def _answer(writer: _Writer, requests: Sequence[Pending]) -> None:
    """Write the requests' records in one commit and wake their callers."""
    if not requests:
        return
    try:
        records = iter(writer.write([entry for request in requests for entry in request.entries]))
    except (SQLAlchemyError, OSError, FootnoteError) as error:
        for request in requests:
            refusal = AuditUnavailable(_reason(error))
            refusal.__cause__ = error
            request.written.set_exception(refusal)
    except BaseException as error:  # noqa: BLE001  # A bug belongs to those who wait, not to this thread.
        for request in requests:
            request.written.set_exception(error)
    else:
        for request in requests:
            request.written.set_result([next(records) for _ in request.entries])


class _Writer:
    """The writer thread's own: its engine, its chain and where that stands."""

    def __init__(self, database: sa.Engine | Path, keys: KeyStore, folder: Path, limit_s: float) -> None:
        self._database = database
        self._keys = keys
        self._folder = folder
        self._limit_s = limit_s
        self._engine: sa.Engine | None = None
        self._chain: WritableChain | None = None

    def write(self, entries: Sequence[tuple[Entry, bytes]]) -> list[Record]:
        """Append to the chain, commit and move its head, or raise and leave the chain as it was."""
        engine = self._opened_engine()
        chain = self._opened_chain(engine)
        records: list[Record] = []
        position = chain.position
        for entry, plaintext in entries:
            records.append(self._record(entry, plaintext, chain, position))
            position = Position.of(records[-1])
        if not records:
            return records
        # Whatever fails from here on, the database says what has been committed: the next one asks it.
        self._chain = None
        try:
            with self._turn(), engine.begin() as connection:
                _wait_for_disk(connection)
                connection.execute(sa.insert(audit_records), [vars(record) for record in records])
            chain.slot.advance(position.head)
        except BaseException:
            chain.slot.release()
            raise
        self._chain = WritableChain(chain.slot, chain.keys, position)
        return records

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for those who write to the same SQLite file, woken as soon as they are done.

        SQLite itself looks again after pauses of up to 100 ms, and whoever looks at the right moment comes first: with
        sixteen writers some waited for seconds. The system releases the lock of a process that dies.
        """
        if isinstance(self._database, sa.Engine):
            yield
            return
        with (self._folder / "turn").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                # Said, and not left to closing: a process that was forked meanwhile holds the file open.
                fcntl.flock(lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the chain, its head on disk."""
        if self._chain:
            # A head that is gone is for verification to tell; nothing is lost by it here.
            with contextlib.suppress(OSError):
                self._chain.slot.advance(self._chain.position.head, sync=True)
            self._chain.slot.release()
        if self._engine and self._engine is not self._database:
            self._engine.dispose()

    def _opened_engine(self) -> sa.Engine:
        if self._engine is None:
            if isinstance(self._database, sa.Engine):
                self._engine = self._database
            else:
                self._engine = sqlite_engine(self._database, self._limit_s, read_only=False)
        return self._engine

    def _opened_chain(self, engine: sa.Engine) -> WritableChain:
        if self._chain is None:
            with engine.connect() as connection:
                self._chain = open_chain(connection, self._keys, self._folder)
        return self._chain

    def _record(self, entry: Entry, plaintext: bytes, chain: WritableChain, after: Position) -> Record:
        now_us = time.time_ns() // 1000
        number = record_id(now_us, chain.slot.number, above=after.id)
        subject = pseudonym_of(entry.subject, chain.keys)
        key = self._keys.data_key(subject)
        place = (number, entry.audit_id, chain.slot.chain, after.head.sequence + 1)
        header = (*place, iso(now_us), str(entry.kind), subject, key.key_id)
        sealed = (*header, *seal(header, key, plaintext), after.head.mac)
        return Record(*sealed, mac_of(sealed, chain.keys.record))


def _wait_for_disk(connection: sa.Connection) -> None:
    """Let this commit return only when it is on disk, however the PostgreSQL server is set up."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL synchronous_commit = on")


def _plaintext(entry: Entry) -> bytes:
    """What is encrypted: whose record it is, by name, and what the caller says."""
    subject = [entry.subject.issuer, entry.subject.subject] if entry.subject else None
    text = json.dumps({"subject": subject, "content": entry.content}, ensure_ascii=False, allow_nan=False)
    # Whatever somebody typed must be on record, even half a surrogate pair.
    return text.encode("utf-8", "surrogatepass")


def _reason(error: Exception) -> str:
    """The cause in few words, without the statement and its values."""
    if isinstance(error, SQLAlchemyError):
        cause = getattr(error, "orig", None) or error
        return str(cause).partition("\n")[0]
    return str(error)
