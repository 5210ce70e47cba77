"""What a disk may hold after the power has gone: recorded calls of the file system in, the possible states out.

The model is POSIX at its weakest. Until a file is synced any part of its content may be missing; until a folder is
synced any of its changes may be, in any order, a rename within a
folder being one change. What was synced stays.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

Kind = Literal["create", "mkdir", "sync", "rename", "remove"]
Tree = dict[str, bytes | None]
"""By path within the folder: the content of a file, None for a folder."""

Tearing = Callable[[bytes], bytes]
TEARINGS: tuple[Tearing, ...] = (
    lambda _: b"",
    lambda content: content[: len(content) // 2],
    lambda content: bytes(len(content)),
    lambda content: content,
)
"""What becomes of a file's content that was not synced: nothing, a part, zeros of the same length, or all of it."""


@dataclass(frozen=True)
class Call:
    """One call that changes something under the folder; `content` is that of the file when it was synced or renamed."""

    kind: Kind
    path: str
    target: str = ""
    content: bytes | None = None


@contextmanager
def recorded(folder: Path) -> Iterator[list[Call]]:
    """The calls that change something in `folder` while the block runs; they are made as well."""
    calls: list[Call] = []

    def within(path: Any, descriptor: int | None = None) -> str | None:
        at = Path(f"/proc/self/fd/{descriptor}").readlink() / path if descriptor is not None else Path(path)
        return os.path.relpath(at, folder) if at.is_relative_to(folder) else None

    def note(kind: Kind, name: str | None, target: str = "", content: bytes | None = None) -> None:
        if name is not None:
            calls.append(Call(kind, name, target, content))

    def opened(path: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        if "w" in mode and isinstance(path, Path | str):
            note("create", within(path))
        return make["open"](path, mode, *arguments, **named)

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        note("sync", within(path), content=path.read_bytes() if path.is_file() else None)
        make["fsync"](descriptor)

    def renamed(source: Any, target: Any) -> None:
        path = Path(source)
        note("rename", within(source), within(target) or "", path.read_bytes() if path.is_file() else None)
        make["replace"](source, target)

    def made(path: Any, *arguments: Any, **named: Any) -> None:
        make["mkdir"](path, *arguments, **named)
        note("mkdir", within(path))

    def removed(which: str) -> Callable[..., None]:
        def removing(path: Any, *, dir_fd: int | None = None) -> None:
            make[which](path, dir_fd=dir_fd)
            note("remove", within(path, dir_fd))

        return removing

    with pytest.MonkeyPatch.context() as patch:
        make: dict[str, Any] = {name: getattr(os, name) for name in ("fsync", "replace", "mkdir", "unlink", "rmdir")}
        make["open"] = io.open
        patch.setattr(io, "open", opened)
        patch.setattr(os, "fsync", fsync)
        patch.setattr(os, "replace", renamed)
        patch.setattr(os, "mkdir", made)
        patch.setattr(os, "unlink", removed("unlink"))
        patch.setattr(os, "rmdir", removed("rmdir"))
        yield calls


@dataclass
class _Node:
    """A file or a folder, whatever it is called at the moment."""

    is_folder: bool
    synced: bytes = b""
    written: bytes | None = None
    """What is not synced yet."""
    entries: dict[str, _Node] = field(default_factory=dict)


@dataclass(frozen=True)
class _Change:
    """What happens to the names of one folder, at once."""

    folder: _Node
    gone: str = ""
    name: str = ""
    node: _Node | None = None


def states(before: Tree, calls: list[Call], moments: Iterable[int], seed: int = 0) -> Iterator[tuple[int, Tree]]:
    """Every different state that the power's going may leave, with how many calls were made before: one of `moments`.

    Of the changes that are pending then: none, all, each alone, all but each, and some at random.
    """
    chance = random.Random(seed)
    seen: set[bytes] = set()
    for made in moments:
        disk = _Disk(before, calls[:made])
        for chosen in _choices(disk.pending, chance):
            for tearing in TEARINGS if disk.unsynced else TEARINGS[-1:]:
                disk = _Disk(before, calls[:made])
                tree = disk.after([disk.pending[number] for number in chosen], tearing)
                if (digest := _digest(tree)) not in seen:
                    seen.add(digest)
                    yield made, tree


def _choices(pending: list[_Change], chance: random.Random) -> list[list[int]]:
    numbers = list(range(len(pending)))
    alone = [[number] for number in numbers]
    but_one = [[other for other in numbers if other != number] for number in numbers]
    some = [[number for number in numbers if chance.random() < 0.5] for _ in range(4)]
    return [[], numbers, *alone, *but_one, *some]


class _Disk:
    """A disk on which everything of `before` is synced and some calls have been made."""

    def __init__(self, before: Tree, calls: list[Call]) -> None:
        self.root = _Node(is_folder=True)
        self.pending: list[_Change] = []
        self._names: dict[str, _Node] = {".": self.root}
        for path, content in sorted(before.items()):
            node = self._names[path] = _Node(content is None, content or b"")
            self._names[str(Path(path).parent)].entries[Path(path).name] = node
        for call in calls:
            self._make(call)

    @property
    def unsynced(self) -> bool:
        """Whether there is a file with content that was not synced."""
        return any(node.written is not None for node in self._names.values())

    def after(self, done: list[_Change], tearing: Tearing) -> Tree:
        for change in done:
            change.folder.entries.pop(change.gone, None)
            if change.node is not None:
                change.folder.entries[change.name] = change.node
        found: Tree = {}

        def visit(folder: _Node, path: str) -> None:
            for name, node in folder.entries.items():
                at = f"{path}{name}"
                unsynced = node.written is not None
                found[at] = None if node.is_folder else tearing(node.written or b"") if unsynced else node.synced
                visit(node, f"{at}/")

        visit(self.root, "")
        return found

    def _make(self, call: Call) -> None:
        folder, name = self._names.get(str(Path(call.path).parent)), Path(call.path).name
        if call.kind == "sync":
            self._sync(self._names[call.path], call.content)
            return
        assert folder is not None
        if call.kind in ("create", "mkdir"):
            known = self._names.get(call.path)
            node = known or _Node(call.kind == "mkdir")
            if not node.is_folder:
                node.written = b""
            if known is None:
                self._names[call.path] = node
                self.pending.append(_Change(folder, name=name, node=node))
        elif call.kind == "remove":
            if self._names.pop(call.path, None) is not None:  # a file that was mapped was never seen to be made
                self.pending.append(_Change(folder, gone=name))
        else:
            node = self._names[call.path]
            if node.written is not None:
                node.written = call.content
            self._names = {_moved(path, call.path, call.target): one for path, one in self._names.items()}
            target = self._names[str(Path(call.target).parent)]
            if target is folder:
                self.pending.append(_Change(folder, gone=name, name=Path(call.target).name, node=node))
            else:
                self.pending.append(_Change(target, name=Path(call.target).name, node=node))
                self.pending.append(_Change(folder, gone=name))

    def _sync(self, node: _Node, content: bytes | None) -> None:
        if not node.is_folder:
            node.synced, node.written = content or b"", None
            return
        for change in [change for change in self.pending if change.folder is node]:
            node.entries.pop(change.gone, None)
            if change.node is not None:
                node.entries[change.name] = change.node
        self.pending = [change for change in self.pending if change.folder is not node]


def _moved(path: str, source: str, target: str) -> str:
    return target + path.removeprefix(source) if path == source or path.startswith(f"{source}/") else path


def tree_of(folder: Path) -> Tree:
    """What is in a folder."""
    return {os.path.relpath(path, folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def lay_out(tree: Tree, folder: Path) -> None:
    """Make a folder hold exactly this."""
    folder.mkdir(parents=True)
    for path, content in sorted(tree.items()):
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)


def _digest(tree: Tree) -> bytes:
    digest = hashlib.sha256()
    for path, content in sorted(tree.items()):
        kind = b"folder" if content is None else hashlib.sha256(content).digest()
        digest.update(path.encode() + b"\0" + kind)
    return digest.digest()
