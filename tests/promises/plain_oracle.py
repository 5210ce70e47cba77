"""Who may read what, written a second time: sets and loops instead of SQL, epochs and bitmaps.

Shares no code with the product; people and groups are the words of access lists (`user:ana`, `group:staff`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Names = frozenset[str]

# What the patterns of rules mean, for the paths that the tests use.
PATTERNS: Mapping[str, Callable[[str], bool]] = {
    "*.md": lambda path: path.endswith(".md"),
    "hr/**": lambda path: path.startswith("hr/"),
    "hr/*": lambda path: path.startswith("hr/"),
    "pay": lambda path: "pay" in path.split("/"),
    "/a.md": lambda path: path == "a.md",
    "b.md": lambda path: path.split("/")[-1] == "b.md",
    "HR/**": lambda path: path.startswith("HR/"),
}


@dataclass(frozen=True)
class Lists:
    allow: Names = frozenset()
    deny: Names = frozenset()


@dataclass(frozen=True)
class Rules:
    default: Lists
    rules: tuple[tuple[str, Lists], ...]

    def decide(self, path: str) -> Lists:
        matching = [lists for pattern, lists in self.rules if PATTERNS[pattern](path)]
        return matching[-1] if matching else self.default


@dataclass
class Doc:
    """A document as the last ingest left it; `by_hand` says "allow" or "deny" of whom grants and revocations name."""

    content: str
    source: Lists = Lists()
    by_hand: dict[str, str] = field(default_factory=dict)

    def named(self, effect: str) -> set[str]:
        lists = self.source.allow if effect == "allow" else self.source.deny
        return {*lists, *(name for name, said in self.by_hand.items() if said == effect)}


@dataclass
class Oracle:
    """The organization: what lies on its disk, what was brought in of it, and who belongs where."""

    files: dict[str, str] = field(default_factory=dict)
    rules: dict[str, Rules] = field(default_factory=dict)
    unmounted: set[str] = field(default_factory=set)
    docs: dict[str, Doc] = field(default_factory=dict)
    revoked_before: dict[str, dict[str, str]] = field(default_factory=dict)
    allow: Names = frozenset()
    groups: dict[str, set[str]] = field(default_factory=dict)
    inactive: set[str] = field(default_factory=set)

    def readable(self, user: str) -> dict[str, Doc]:
        mine = set() if user in self.inactive else self.holds(user)
        return {
            path: doc for path, doc in self.docs.items() if doc.named("allow") & mine and not doc.named("deny") & mine
        }

    def holds(self, name: str) -> set[str]:
        held, size = {name, "everyone"}, 0
        while size != len(held):
            size = len(held)
            held |= {group for group, members in self.groups.items() if members & held}
        return held

    def on_disk(self) -> dict[str, str]:
        return {path: content for path, content in self.files.items() if not self._below(path, self.unmounted)}

    def decide(self, path: str) -> Lists | None:
        """None: the folder is gone, so that nobody can say."""
        if self._below(path, self.unmounted):
            return None
        folders = [path.rpartition("/")[0]]
        while folders[-1]:
            folders.append(folders[-1].rpartition("/")[0])
        for folder in folders:
            if folder in self.rules:
                return self.rules[folder].decide(path[len(folder) :].lstrip("/"))
        return Lists(self.allow)

    def ingest(self, allow: Names | None, prune: bool) -> None:
        disk = self.on_disk()
        if not disk and self.docs and not prune:
            return
        self.allow = self.allow if allow is None else allow
        for path, doc in self.docs.items():
            lists = self.decide(path) or doc.source
            # What lies there no more may have been taken away for the sake of those who are let in now.
            doc.source = lists if path in disk else self.narrower(doc.source, lists)
        gone = sorted((path for path in self.docs if path not in disk), reverse=True)
        missing = {(self.docs[path].content, path.rpartition(".")[2]): path for path in gone}
        for path, content in disk.items():
            lists = self.decide(path) or Lists()
            old = missing.get((content, path.rpartition(".")[2]), "")
            if path in self.docs:
                self.docs[path].content = content
            elif old:
                self.docs[path] = Doc(content, lists, self.docs.pop(old).by_hand)
                self.revoked_before.pop(path, None)
            else:
                self.docs[path] = Doc(content, lists, self.revoked_before.pop(path, {}))
        for path in [path for path in self.docs if prune and path not in disk]:
            self.delete(path)

    def narrower(self, before: Lists, after: Lists) -> Lists:
        """Those whom both name, themselves or by a group they are in, and whom neither denies."""
        still = {name for name in after.allow if self.holds(name) & before.allow}
        still |= {name for name in before.allow if self.holds(name) & after.allow and not self.holds(name) & still}
        return Lists(frozenset(still), before.deny | after.deny)

    def delete(self, path: str) -> None:
        by_hand = self.docs.pop(path).by_hand
        self.revoked_before[path] = {name: said for name, said in by_hand.items() if said == "deny"}

    def grant(self, name: str, path: str) -> None:
        doc = self.docs[path]
        if doc.by_hand.pop(name, "") != "deny" or not doc.named("allow") & self.holds(name):
            doc.by_hand[name] = "allow"

    def revoke(self, name: str, path: str) -> None:
        doc = self.docs[path]
        doc.by_hand.pop(name, None)
        if doc.named("allow") & self.holds(name):
            doc.by_hand[name] = "deny"

    @staticmethod
    def _below(path: str, folders: set[str]) -> bool:
        return any(path.startswith(f"{folder}/") for folder in folders)
