"""A local folder as a source: its files, and the rules that stand beside them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import WrongUsage
from governance.access.rules import ACCESS_FILE, NOBODY, AccessLists, AccessRules, Decision, read_rules


@dataclass(frozen=True)
class FolderFile:
    """One file of a folder; `external_id` is its path relative to the folder, with forward slashes."""

    external_id: str
    path: Path


@dataclass(frozen=True)
class Folder:
    """What stands in a folder now: its files by external id, and every `access.yaml` in or above it.

    `allow` holds only where no `access.yaml` does.
    """

    root: Path
    files: tuple[FolderFile, ...]
    rules: dict[Path, AccessRules] = field(repr=False)
    allow: AccessLists = NOBODY

    def decide(self, external_id: str) -> Decision:
        """Who may read the file that has, or had, this external id: the nearest rules at or above it decide."""
        path = self.root / external_id
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
        return self.decide(external_id) if (self.root / external_id).parent.is_dir() else None


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
    if path.is_dir():
        for folder, subfolders, names in os.walk(root, onerror=_refuse):
            here = Path(folder)
            subfolders[:] = sorted(n for n in subfolders if not n.startswith(".") and (here / n).resolve() != home)
            if ACCESS_FILE in names:
                rules[here] = read_rules(here / ACCESS_FILE)
            files.extend(_file(root, here / name) for name in sorted(names) if _is_content(root, here / name))
    elif path.name != ACCESS_FILE:
        files.append(_file(root, path))
    if access_file is not None:
        rules[root] = read_rules(access_file, folder=root)
        files = [file for file in files if file.path != access_file]
    return Folder(root, tuple(sorted(files, key=lambda file: file.external_id)), rules, allow)


def _rules_above(root: Path) -> dict[Path, AccessRules]:
    """The nearest rules at or above the folder itself: a part of a tree keeps the rules of the whole."""
    for folder in (root, *root.parents):
        if (folder / ACCESS_FILE).is_file():
            return {folder: read_rules(folder / ACCESS_FILE)}
    return {}


def _is_content(root: Path, path: Path) -> bool:
    if path.name.startswith(".") or path.name == ACCESS_FILE or not path.is_file():
        return False
    return not path.is_symlink() or path.resolve().is_relative_to(root.resolve())


def _file(root: Path, path: Path) -> FolderFile:
    # A name that is not UTF-8 could not be kept in SQL; its odd bytes are written as escapes.
    name = path.relative_to(root).as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return FolderFile(name, path)


def _refuse(error: OSError) -> None:
    raise WrongUsage(f"{error.filename} cannot be listed ({error.strerror}); nothing was changed.") from error
