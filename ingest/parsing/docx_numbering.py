"""The numbers that Word computes for headings and list items (ECMA-376, 17.9), which its files do not spell out."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field

from docx.document import Document
from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement

from ingest.parsing.list_numbers import formatted

_PLACE = re.compile(r"%([1-9])")
_UNNUMBERED = frozenset(("bullet", "none"))
_LEVELS = 9


@dataclass(frozen=True)
class _Level:
    start: int
    kind: str
    pattern: str
    style: str


@dataclass
class Numbering:
    """The lists of one document and how far each has been counted; paragraphs must be asked for in their order."""

    lists: dict[str, tuple[str, dict[int, int]]] = field(default_factory=dict)
    """For each list what it counts with, and the levels that it starts anew."""
    levels: dict[str, dict[int, _Level]] = field(default_factory=dict)
    counters: dict[str, list[int | None]] = field(default_factory=lambda: defaultdict(lambda: [None] * _LEVELS))
    begun: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, document: Document) -> Numbering:
        """What the document's numbering part defines; nothing where it has none."""
        parts = [rel.target_part for rel in document.part.rels.values() if rel.reltype.endswith("/numbering")]
        if not parts:
            return cls()
        root = parts[0].element
        levels = {
            _value(abstract, qn("w:abstractNumId")): {
                int(level.get(qn("w:ilvl"), "0")): _level(level) for level in abstract.findall(qn("w:lvl"))
            }
            for abstract in root.findall(qn("w:abstractNum"))
        }
        return cls({_value(one, qn("w:numId")): _list(one) for one in root.findall(qn("w:num"))}, levels)

    def level_of(self, list_id: str, style_id: str) -> int:
        """The level that a list keeps for paragraphs of a style; 0 if it names none."""
        counted, _ = self.lists.get(list_id, ("", {}))
        return next((n for n, level in self.levels.get(counted, {}).items() if level.style == style_id), 0)

    def next_label(self, list_id: str, level: int) -> str:
        """Count one paragraph and return its number as shown (`2.1`, `b)`), nothing for a bullet or an unknown list."""
        counted, restarts = self.lists.get(list_id, ("", {}))
        defined = self.levels.get(counted, {})
        if level not in defined:
            return ""
        counters = self.counters[counted]
        if list_id not in self.begun:
            self.begun.add(list_id)
            for restarted, start in restarts.items():
                counters[restarted] = start - 1
        before = counters[level]
        counters[level] = defined[level].start if before is None else before + 1
        counters[level + 1 :] = [None] * (_LEVELS - level - 1)
        if defined[level].kind in _UNNUMBERED:
            return ""

        def shown(place: re.Match[str]) -> str:
            outer = defined.get(int(place[1]) - 1)
            if outer is None:
                return ""
            number = counters[int(place[1]) - 1]
            return formatted(outer.start if number is None else number, outer.kind)

        return _PLACE.sub(shown, defined[level].pattern)


def _list(element: BaseOxmlElement) -> tuple[str, dict[int, int]]:
    counted = element.find(qn("w:abstractNumId"))
    restarts = {}
    for override in element.findall(qn("w:lvlOverride")):
        start = override.find(qn("w:startOverride"))
        if start is not None:
            restarts[int(override.get(qn("w:ilvl"), "0"))] = int(_value(start) or 1)
    return _value(counted) if counted is not None else "", restarts


def _level(element: BaseOxmlElement) -> _Level:
    start, kind, pattern, style = (element.find(qn(name)) for name in ("w:start", "w:numFmt", "w:lvlText", "w:pStyle"))
    return _Level(
        int(_value(start) or 1) if start is not None else 1,
        _value(kind) if kind is not None else "decimal",
        _value(pattern) if pattern is not None else "",
        _value(style) if style is not None else "",
    )


def _value(element: BaseOxmlElement, attribute: str = qn("w:val")) -> str:
    return str(element.get(attribute, ""))
