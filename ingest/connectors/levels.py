"""Rights of several levels, each of which must let somebody in: as one list that names nobody more."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from core.principals import EVERYONE, Grantee, GranteeKind
from governance.access.rules import AccessLists, Decision

Members = Callable[[Grantee], frozenset[Grantee] | None]
"""The people of a group; None where they are not known, and then nobody is let in on its account."""

Level = frozenset[Grantee]


@dataclass(frozen=True)
class Levels:
    """Levels of one source during one reading of it, in which groups do not change.

    Many documents have the same levels: what they come to is worked out once.
    """

    members: Members
    _people: dict[Level, Level] = field(default_factory=dict)
    _passing: dict[frozenset[Level], Level] = field(default_factory=dict)

    def decided(self, levels: Collection[Level], rule: str) -> Decision:
        """Who passes every level, as a decision that `rule` explains."""
        return Decision(AccessLists(self.passing(levels)), rule)

    def passing(self, levels: Collection[Level]) -> Level:
        """Who passes every level: a group where each level names it (or everyone), else those of its people who pass.

        No levels let nobody in. Groups are opened only where levels differ.
        """
        if not levels:
            return frozenset()
        bounding = frozenset(level for level in levels if EVERYONE not in level)
        if not bounding:
            return frozenset({EVERYONE})
        if bounding not in self._passing:
            # The shortest list names most of what remains.
            first, *others = sorted(bounding, key=lambda level: (len(level), sorted(level)))
            for other in others:
                first = self._both(first, other)
            self._passing[bounding] = first
        return self._passing[bounding]

    def _both(self, one: Level, other: Level) -> Level:
        if one <= other:
            return one
        if other not in self._people:
            self._people[other] = self._opened(other)
        return (one & other) | (self._opened(one - other) & self._people[other])

    def _opened(self, level: Level) -> Level:
        groups = [one for one in level if one.kind is GranteeKind.GROUP]
        return level.difference(groups).union(*(self.members(group) or () for group in groups))
