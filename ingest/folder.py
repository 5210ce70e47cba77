"""A local folder as a source: its files, and the rules that stand beside them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import WrongUsage
from governance.access.rules import ACCESS_FILE, NOBODY, AccessLists, AccessRules, Decision, read_rules, written


@dataclass(frozen=True)
class FolderFile:
    """One file of a folder; `external_id` is its path relative to the folder, with forward slashes."""

    external_id: str
    path: Path


@dataclass(frozen=True)
class Folder:
    """What stands in a folder now: its files by external id, and every `access.yaml` in or above it.

    `allow` holds only where no `access.yaml` does. Rules are by their folder as it is `written`, as external ids are;
    `odd` are the folders that are written otherwise than they are called.
    """

    root: Path
    files: tuple[FolderFile, ...]
    rules: dict[Path, AccessRules] = field(repr=False)
    allow: AccessLists = NOBODY
    odd: frozenset[Path] = frozenset()

    def decide(self, external_id: str) -> Decision:
        """Who may read the file that has, or had, this external id: the nearest rules at or above it decide."""
        path = Path(written(self.root)) / external_id
        for folder in path.parents:
            if folder in self.rules:
                return self.rules[folder].decide(path)
        return Decision(
            self.allow, "--allow of the source" if self.allow.allow else "nothing names it: nobody may read it"
        )

    def decide_known(self, external_id: str) -> Decision | None:
        """The decision for a document brought in earlier; None when its folder is not there to say.

        A subfolder that is gone (not mounted, perhaps) took its own rules along, and the wider rules above it must
        not take their place.
        """
        folder = (self.root / external_id).parent
        return self.decide(external_id) if folder.is_dir() or folder in self.odd else None


def read_folder(path: Path, home: Path, allow: AccessLists, access_file: Path | None) -> Folder:
    """List a folder (or one file) and read all of its rules, changing nothing.

    Hidden files, files of rules and the home itself are left out, and links that lead out of the folder are not
    followed. `access_file` stands in for an `access.yaml` at the folder itself. Raises `WrongUsage` for a path that
    is not there or in the home, and for invalid rules.
    """
    if not path.exists():
        raise WrongUsage(f"{path} does not exist. If it is a mount, mount it; nothing was changed.")
    root = path if path.is_dir() else path.parent
    home = home.resolve()
    if root.resolve().is_relative_to(home):
        raise WrongUsage(f"{path} is part of the home, which holds keys and records; name another folder.")
    rules = _rules_above(root)
    files: list[FolderFile] = []
    odd: set[Path] = set()
    if path.is_dir():
        for folder, subfolders, names in os.walk(root, onerror=_refuse):
            here = Path(folder)
            subfolders[:] = sorted(n for n in subfolders if not n.startswith(".") and (here / n).resolve() != home)
            place = root / written(here.relative_to(root))
            if place != here:
                odd.add(place)
            if ACCESS_FILE in names:
                rules[Path(written(here))] = read_rules(here / ACCESS_FILE)
            files.extend(_file(root, here / name) for name in sorted(names) if _is_content(root, here / name))
    elif path.name != ACCESS_FILE:
        files.append(_file(root, path))
    if access_file is not None:
        rules[Path(written(root))] = read_rules(access_file, folder=root)
        files = [file for file in files if file.path != access_file]
    return Folder(root, tuple(sorted(files, key=lambda file: file.external_id)), rules, allow, frozenset(odd))


def _rules_above(root: Path) -> dict[Path, AccessRules]:
    """The nearest rules at or above the folder itself: a part of a tree keeps the rules of the whole."""
    for folder in (root, *root.parents):
        if (folder / ACCESS_FILE).is_file():
            return {Path(written(folder)): read_rules(folder / ACCESS_FILE)}
    return {}


def _is_content(root: Path, path: Path) -> bool:
    if path.name.startswith(".") or path.name == ACCESS_FILE or not path.is_file():
        return False
    return not path.is_symlink() or path.resolve().is_relative_to(root.resolve())


def _file(root: Path, path: Path) -> FolderFile:
    return FolderFile(written(path.relative_to(root)), path)


def _refuse(error: OSError) -> None:
    raise WrongUsage(f"{error.filename} cannot be listed ({error.strerror}); nothing was changed.") from error
