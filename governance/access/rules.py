"""`access.yaml`: rules that decide who may read a source's files, by path."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pathspec
import yaml

from core.errors import WrongUsage
from core.principals import Grantee, parse_grantee

ACCESS_FILE = "access.yaml"


@dataclass(frozen=True)
class AccessLists:
    """Whom a document allows and denies; deny wins, and an empty allow list means nobody."""

    allow: frozenset[Grantee] = frozenset()
    deny: frozenset[Grantee] = frozenset()


NOBODY = AccessLists()


@dataclass(frozen=True)
class Decision:
    """What the rules say of one document, and the rule that said it (for `access explain`)."""

    lists: AccessLists
    rule: str


@dataclass(frozen=True)
class Rule:
    pattern: str
    lists: AccessLists
    matcher: pathspec.GitIgnoreSpec = field(compare=False, repr=False)


@dataclass(frozen=True)
class AccessRules:
    """One `access.yaml`: the last matching rule decides and replaces the default.

    `folder` is what its patterns are relative to, as it is `written`; `name` is how `explain` calls the file.
    """

    name: str
    folder: Path
    default: AccessLists
    rules: tuple[Rule, ...]

    def decide(self, path: Path) -> Decision:
        """The decision for a file at `path`, which stands below `folder`."""
        relative = path.relative_to(self.folder).as_posix()
        for number, rule in reversed(list(enumerate(self.rules, start=1))):
            if rule.matcher.match_file(relative):
                return Decision(rule.lists, f"{self.name}: rule {number} ({rule.pattern})")
        return Decision(self.default, f"{self.name}: default")

    def grantees(self) -> frozenset[Grantee]:
        """Everybody the file names."""
        lists = [self.default, *(rule.lists for rule in self.rules)]
        return frozenset().union(*(entry.allow | entry.deny for entry in lists))


def read_rules(file: Path, folder: Path | None = None) -> AccessRules:
    """Read one file of rules; its patterns are relative to `folder`, by default the file's own.

    Raises `WrongUsage` naming the file and the first thing wrong with it.
    """
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise WrongUsage(f"{file} cannot be read ({error.strerror}); nothing was changed.") from error
    except UnicodeDecodeError as error:
        raise WrongUsage(f"{file} is not UTF-8 text; nothing was changed.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise WrongUsage(f"{file} is not valid YAML ({_one_line(error)}); nothing was changed.") from error
    document = _mapping(file, "the file", content if content is not None else {}, {"default", "rules"})
    entries = document.get("rules") or []
    if not isinstance(entries, list):
        raise _invalid(file, "`rules` must be a list")
    return AccessRules(
        name=written(file),
        folder=Path(written(folder or file.parent)),
        default=_lists(file, "default", document.get("default") or {}),
        rules=tuple(_rule(file, number, entry) for number, entry in enumerate(entries, start=1)),
    )


def written(path: Path) -> str:
    """A path as text that SQL takes, with forward slashes; bytes of it that are not UTF-8 are written as escapes."""
    return path.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class _UniqueKeys(yaml.SafeLoader):
    """YAML whose mappings name each key once (YAML 1.2.2, 3.2.1.3): a second `deny` would silently undo the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _rule(file: Path, number: int, entry: object) -> Rule:
    where = f"rule {number}"
    pattern = _mapping(file, where, entry, {"path", "allow", "deny"}).get("path")
    if not isinstance(pattern, str) or not pattern.strip():
        raise _invalid(file, f"{where} needs a `path`")
    if pattern.startswith("!"):
        raise _invalid(file, f"{where}: a pattern cannot begin with `!`; write a later rule instead")
    try:
        # Not PathSpec: `legal/*` then leaves out what stands deeper in `legal/`, which git does not.
        matcher = pathspec.GitIgnoreSpec.from_lines([pattern])
    except ValueError as error:
        raise _invalid(file, f"{where}: {pattern!r} is no path pattern") from error
    if any(compiled.include is None for compiled in matcher.patterns):
        raise _invalid(file, f"{where}: {pattern!r} is a comment in .gitignore and matches nothing; write `\\#`")
    return Rule(pattern, _lists(file, where, entry, ignore="path"), matcher)


def _lists(file: Path, where: str, entry: object, ignore: str = "") -> AccessLists:
    content = _mapping(file, where, entry, {"allow", "deny", ignore})
    return AccessLists(
        _grantees(file, where, "allow", content.get("allow")), _grantees(file, where, "deny", content.get("deny"))
    )


def _grantees(file: Path, where: str, key: str, names: object) -> frozenset[Grantee]:
    if names is None:
        return frozenset()
    if not isinstance(names, Sequence) or isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise _invalid(file, f'{where}: `{key}` must be a list such as ["group:staff", "user:ana"]')
    try:
        return frozenset(parse_grantee(name) for name in names)
    except WrongUsage as error:
        raise _invalid(file, f"{where}: {error}") from error


def _mapping(file: Path, where: str, content: object, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        raise _invalid(file, f"{where} must be a mapping")
    for key in content:
        if key not in known:
            raise _invalid(file, f"{where}: unknown key {key!r}; known are {', '.join(sorted(known - {''}))}")
    return content


def _invalid(file: Path, what: str) -> WrongUsage:
    return WrongUsage(f"{file} is invalid: {what.rstrip('.')}. Correct it and run again; nothing was changed.")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
