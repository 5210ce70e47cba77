"""The numbers that an office program computes for the items of OpenDocument lists (ODF 1.3 part 3, 5.3 and 16.31)."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from ingest.parsing.list_numbers import formatted

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_KINDS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}


@dataclass(frozen=True)
class _Level:
    kind: str
    before: str
    after: str
    start: int
    shown: int
    """How many levels the number names, its own the last."""


@dataclass
class Lists:
    """Counts the items of lists; they must be asked for in their order."""

    styles: dict[str, dict[int, _Level]] = field(default_factory=dict)
    counters: dict[str, dict[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, *parts: Element) -> Lists:
        """What the list styles of these parts say."""
        styles = (style for part in parts for style in part.iter(f"{_TEXT}list-style"))
        return cls({style.get(f"{_STYLE}name", ""): _levels(style) for style in styles})

    def begin(self, style: str, element: Element) -> None:
        """Begin an outermost list, which counts from the start unless it says that it goes on."""
        if element.get(f"{_TEXT}continue-numbering") != "true":
            self.counters.pop(style, None)

    def next_label(self, style: str, level: int, item: Element) -> str:
        """Count one item and return its number as shown and a space; nothing for a bullet or an unknown style."""
        defined = self.styles.get(style, {})
        if level not in defined:
            return ""
        counters = self.counters.setdefault(style, {})
        given = item.get(f"{_TEXT}start-value", "")
        start = int(given) if given.isdecimal() and len(given) < 10 else defined[level].start
        counters[level] = counters[level] + 1 if level in counters and not given else start
        for deeper in [one for one in counters if one > level]:
            del counters[deeper]
        own = defined[level]
        outer = range(max(1, level - own.shown + 1), level + 1)
        numbers = [
            formatted(counters.get(one, defined[one].start), _KINDS.get(defined[one].kind, "decimal"))
            for one in outer
            if one in defined and defined[one].kind
        ]
        return f"{own.before}{'.'.join(numbers)}{own.after} " if own.kind and numbers else ""


def _levels(style: Element) -> dict[int, _Level]:
    levels = {}
    for element in style.iter(f"{_TEXT}list-level-style-number"):
        number, start, shown = (
            _whole(element, name) for name in (f"{_TEXT}level", f"{_TEXT}start-value", f"{_TEXT}display-levels")
        )
        before, after, kind = (element.get(f"{_STYLE}num-{name}", "") for name in ("prefix", "suffix", "format"))
        levels[number] = _Level(kind, before, after, start, shown)
    return levels


def _whole(element: Element, attribute: str) -> int:
    value = element.get(attribute, "1")
    return int(value) if value.isdecimal() and len(value) < 10 else 1
