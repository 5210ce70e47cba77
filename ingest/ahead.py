"""Work that is done ahead of whoever waits for it, on a thread of its own, as far as memory has room."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _Broke:
    """What ended the source before its end."""

    error: BaseException


class Ahead(Generic[T]):
    """`source`, drawn on a thread while the entries before are worked on; the same entries in the same order.

    The entries that lie ready weigh at most `room` together, or there is only one. What the source raises is raised
    where its next entry would be taken. Leaving the block closes the source, on its thread, which waits no longer for
    what lies `behind` it.
    """

    def __init__(
        self,
        source: Generator[T],
        weigh: Callable[[T], int],
        room: int,
        name: str,
        behind: Ahead[Any] | None = None,
    ) -> None:
        self._source, self._weigh, self._room, self._behind = source, weigh, room, behind
        self._ready: deque[tuple[T, int]] = deque()
        self._weight = 0
        self._end: _Broke | bool = False
        self._left = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._draw, name=name, daemon=True)

    def __enter__(self) -> Ahead[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        self._thread.join(timeout=60)

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready or self._end or self._left)
                if self._left:
                    return
                if not self._ready:
                    if isinstance(self._end, _Broke):
                        raise self._end.error
                    return
                entry, weight = self._ready.popleft()
                self._weight -= weight
                self._changed.notify_all()
            yield entry

    @property
    def at_hand(self) -> bool:
        """Whether the next entry can be had without waiting."""
        return bool(self._ready)

    def _leave(self) -> None:
        with self._changed:
            self._left = True
            self._changed.notify_all()
        if self._behind is not None:
            self._behind._leave()

    def _draw(self) -> None:
        end: _Broke | bool = True
        try:
            for entry in self._source:
                if not self._put(entry):
                    break
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that takes the entries
            end = _Broke(error)
        finally:
            self._source.close()
            with self._changed:
                self._end = end
                self._changed.notify_all()

    def _put(self, entry: T) -> bool:
        """Lay an entry ready as soon as there is room; False once nobody takes any more."""
        weight = self._weigh(entry)
        with self._changed:
            self._changed.wait_for(lambda: self._left or not self._ready or self._weight + weight <= self._room)
            if not self._left:
                self._ready.append((entry, weight))
                self._weight += weight
                self._changed.notify_all()
            return not self._left
