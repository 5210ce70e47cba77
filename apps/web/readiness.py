"""Whether this process can answer a question now: each part is tried, none is taken on trust."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from catalog import schema
from catalog.models import ChunkRow
from core.errors import AuditUnavailable, Conflict, FootnoteError
from governance.audit import require_writable
from wiring.home import Home
from workers import doorbell

_KEPT_SECONDS = 1.0
_HELPER_SECONDS = 0.5


@dataclass(frozen=True)
class Found:
    """Parts without which no question is answered (`catalog`, `index`, `audit`), and parts that are missed otherwise:
    without the `model` answers are quotes, without `redis` jobs wait, and while an `index` that is damaged or was
    deleted is built anew, the catalog is searched in its place, slower. Only those that do not work."""

    missing: tuple[str, ...]
    degraded: tuple[str, ...]


class Readiness:
    """What is not ready, by part. What was found is kept for a second, so that asking often costs little."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._until = 0.0
        self._found = Found((), ())

    def found(self) -> Found:
        """What works at this moment, or did a second ago."""
        with self._lock:
            if time.monotonic() >= self._until:
                missing = tuple(part for part, check in self._checks().items() if not _holds(check))
                self._found = Found(missing, tuple(part for part, works in self._helpers().items() if not works()))
                self._until = time.monotonic() + _KEPT_SECONDS
            return self._found

    def _helpers(self) -> dict[str, Callable[[], bool]]:
        return {
            "model": self._model_answers,
            "redis": lambda: doorbell.answers(self._home, _HELPER_SECONDS),
            "index": lambda: _holds(self._finds),
        }

    def _model_answers(self) -> bool:
        """One of the vLLM servers says that it is well, or there are none to say so."""
        return self._home.vllm is None or any(self._home.vllm.answering(_HELPER_SECONDS))

    def _checks(self) -> dict[str, Callable[[], None]]:
        return {"catalog": self._catalog, "index": self._index, "audit": self._audit}

    def _catalog(self) -> None:
        """The database answers, and is at our schema."""
        schema.require_newest(self._home.catalog.engine)

    def _index(self) -> None:
        """What is sound of the index has our encoder's vectors; a home without documents has none yet."""
        snapshot = self._home.index_reader.sound()
        if snapshot.fingerprint and snapshot.fingerprint != self._home.encoder.fingerprint:
            raise Conflict("The index was made with another embedding model. Run `footnote upgrade`.")

    def _finds(self) -> None:
        """There is an index wherever there is something to be found, and it is sound; else its repair is begun."""
        self._home.steady_reader.snapshot()
        if self._home.index_reader.snapshot().generation:
            return
        with self._home.catalog.read() as session:
            if session.scalar(select(ChunkRow.id).limit(1)) is not None:
                raise Conflict("The index is gone. It is built anew from the catalog.")

    def _audit(self) -> None:
        """The log opens, is where it should be, and its database or disk takes a write."""
        home = self._home
        home.audit.append_all([])
        if not isinstance(home.audit_storage, Path):
            require_writable(home.audit_storage)
        elif not home.audit_storage.is_file():
            raise AuditUnavailable("the audit database is gone")
        with tempfile.TemporaryFile(dir=home.layout.audit_folder) as probe:
            probe.write(bytes(4096))


def _holds(check: Callable[[], None]) -> bool:
    try:
        check()
    except (FootnoteError, SQLAlchemyError, OSError):
        return False
    return True
