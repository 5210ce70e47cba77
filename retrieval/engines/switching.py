"""Which engine has the index: told by a small file beside it, so that every process follows a move at once."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from core.errors import IndexDamaged
from core.settings import EngineName
from retrieval.engines.protocol import IndexReading, IndexWriting
from retrieval.index.reader import Snapshot
from retrieval.index.segment import IndexRow
from retrieval.index.storage import Storage

ENGINES: tuple[EngineName, ...] = get_args(EngineName)

SIGNPOST = "engine.json"


@dataclass(frozen=True)
class Place:
    """Where an index is: in which engine, under which name. Without one it is in the home, or nowhere yet."""

    engine: EngineName
    name: str = ""

    @property
    def begun(self) -> bool:
        """There may be an index here: other engines than ours serve several homes, and give each a name."""
        return self.engine == "faiss" or bool(self.name)


@dataclass(frozen=True)
class Whereabouts:
    """Where the index is, and where it was before: there it stays until the next compaction, for questions that are
    being answered."""

    present: Place
    former: tuple[Place, ...] = ()


class Signpost:
    """Says where the index of `folder` is; safe to share between threads."""

    def __init__(self, folder: Path, first: Callable[[], Place], storage: Storage | None = None) -> None:
        self._file = folder / SIGNPOST
        self._first = first
        self._storage = storage or Storage()
        self._version: tuple[int, ...] | None = None
        self._whereabouts = Whereabouts(Place("faiss"))

    def read(self) -> Whereabouts:
        """As the last move left it, or where an index begins; costs one `stat` when nothing has changed."""
        try:
            status = self._file.stat()
            version = (status.st_ino, status.st_mtime_ns, status.st_size)
            if version != self._version:
                self._whereabouts, self._version = _decoded(self._file), version
        except FileNotFoundError:
            return Whereabouts(self._first())
        return self._whereabouts

    def write(self, whereabouts: Whereabouts) -> None:
        """From now on the index is there, in one step."""
        self._storage.make_folder(self._file.parent)
        temporary = self._file.with_name(f"{SIGNPOST}.new")
        self._storage.write(temporary, [json.dumps(asdict(whereabouts)).encode()])
        self._storage.rename(temporary, self._file)


class SwitchingReader:
    """Follows the index wherever it is; implements `IndexReading`."""

    def __init__(self, signpost: Signpost, open_reader: Callable[[Place], IndexReading]) -> None:
        self._signpost = signpost
        self._open = open_reader
        self._lock = threading.Lock()
        self._opened: tuple[Place, IndexReading] | None = None

    def snapshot(self) -> Snapshot:
        return self._reader().snapshot()

    def sound(self) -> Snapshot:
        return self._reader().sound()

    def verify(self) -> None:
        self._reader().verify()

    def check_remembered(self) -> None:
        self._reader().check_remembered()

    def _reader(self) -> IndexReading:
        place = self._signpost.read().present
        with self._lock:
            if self._opened is None or self._opened[0] != place:
                self._opened = place, self._open(place)
            return self._opened[1]


class SwitchingWriter:
    """Writes the index wherever it is; implements `IndexWriting`."""

    def __init__(
        self, signpost: Signpost, open_writer: Callable[[Place], IndexWriting], remove: Callable[[Place], None]
    ) -> None:
        self._signpost = signpost
        self._open = open_writer
        self._remove = remove
        self._opened: tuple[Place, IndexWriting] | None = None

    def publish(self, added: Iterable[IndexRow], dropped: Iterable[int] = ()) -> int:
        return self._writer().publish(added, dropped)

    def rebuild(self, rows: Iterable[IndexRow]) -> int:
        return self._writer().rebuild(rows)

    def merge(self, if_more_than: int = 0) -> bool:
        return self._writer().merge(if_more_than)

    def compact(self) -> None:
        """Compact the index, and remove it from where it was before it was moved."""
        self._writer().compact()
        whereabouts = self._signpost.read()
        for place in whereabouts.former:
            self._remove(place)
        if whereabouts.former:
            self._signpost.write(Whereabouts(whereabouts.present))

    def _writer(self) -> IndexWriting:
        place = self._signpost.read().present
        if not place.begun:
            place = new_place(place.engine)
            self._signpost.write(Whereabouts(place))
        if self._opened is None or self._opened[0] != place:
            self._opened = place, self._open(place)
        return self._opened[1]


def new_place(engine: EngineName) -> Place:
    """A place that no index has ever had."""
    return Place(engine, f"footnote_{os.urandom(6).hex()}")


def _decoded(file: Path) -> Whereabouts:
    try:
        content: Any = json.loads(file.read_bytes())
        places = [Place(**place) for place in (content["present"], *content["former"])]
    except (ValueError, KeyError, TypeError) as error:
        raise IndexDamaged(
            f"{file} is damaged ({error}): remove it, set index_engine to the engine that has the index, and run "
            "`footnote index rebuild`."
        ) from error
    return Whereabouts(places[0], tuple(places[1:]))
