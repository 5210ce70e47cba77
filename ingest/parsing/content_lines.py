"""Calendars (RFC 5545) and contacts (RFC 6350): what a person would read of them, event by event, card by card."""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from core.documents import BlockKind, Parsed
from ingest.parsing.assembly import Assembly
from ingest.parsing.charsets import decode
from ingest.parsing.detection import CALENDAR, VCARD

_FOLD = re.compile(r"\n[ \t]")
_SOFT_BREAK = re.compile(r"=\n")
_ESCAPE = re.compile(r"\\(.)", re.S)
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?")
_SHOWN_COMPONENTS = ("VEVENT", "VTODO", "VJOURNAL")
_EVENT_LINES = (
    ("DTSTART", "Start"),
    ("DTEND", "End"),
    ("DUE", "Due"),
    ("DURATION", "Duration"),
    ("RRULE", "Repeats"),
    ("LOCATION", "Where"),
    ("ORGANIZER", "Organizer"),
    ("ATTENDEE", "Attendees"),
    ("STATUS", "Status"),
    ("CATEGORIES", "Categories"),
    ("URL", "Link"),
)
_CARD_LINES = (
    ("ORG", "Organization"),
    ("TITLE", "Title"),
    ("ROLE", "Role"),
    ("EMAIL", "E-mail"),
    ("TEL", "Telephone"),
    ("ADR", "Address"),
    ("URL", "Link"),
    ("BDAY", "Birthday"),
)


@dataclass
class _Component:
    """A BEGIN to its END: its properties' parameters and values by name, as written."""

    kind: str
    properties: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def first(self, name: str) -> str:
        return _unescaped(self.properties.get(name, [("", "")])[0][1])


def parse_calendar(data: bytes) -> Parsed:
    """Each event, task and journal entry under its summary; alarms and time zones' rules are left out.

    Raises `UnreadableDocument("empty")`.
    """
    assembly = Assembly()
    name = ""
    for component in _components(data):
        if component.kind == "VCALENDAR":
            name = component.first("X-WR-CALNAME") or name
        if component.kind in _SHOWN_COMPONENTS:
            assembly.add(BlockKind.HEADING, component.first("SUMMARY"), level=1)
            assembly.add(BlockKind.PARAGRAPH, "\n".join(_lines(component, _EVENT_LINES)))
            assembly.add(BlockKind.PARAGRAPH, component.first("DESCRIPTION"))
    return assembly.parsed(CALENDAR, title=name or assembly.first_heading())


def parse_vcard(data: bytes) -> Parsed:
    """Each card under its formatted name; pictures and keys are left out. Raises `UnreadableDocument("empty")`."""
    assembly = Assembly()
    for component in _components(data):
        if component.kind == "VCARD":
            name = component.first("FN") or " ".join(reversed(component.first("N").replace(";", " ").split()))
            assembly.add(BlockKind.HEADING, name, level=1)
            assembly.add(BlockKind.PARAGRAPH, "\n".join(_lines(component, _CARD_LINES)))
            assembly.add(BlockKind.PARAGRAPH, component.first("NOTE"))
    return assembly.parsed(VCARD, title=assembly.first_heading())


def _components(data: bytes) -> Iterator[_Component]:
    """Every component when it ends, inner ones first; what is never ended ends with the file."""
    text = decode(data).replace("\r\n", "\n").replace("\r", "\n")
    if "QUOTED-PRINTABLE" in text.upper():
        text = _SOFT_BREAK.sub("", text)
    open_: list[_Component] = []
    for line in _FOLD.sub("", text).split("\n"):
        head, colon, value = _parted(line)
        name, _, parameters = head.partition(";")
        name = name.rpartition(".")[2].upper()  # vCard groups: `item1.TEL`
        if not colon:
            continue
        if name == "BEGIN":
            open_.append(_Component(value.strip().upper()))
        elif name == "END" and open_:
            yield open_.pop()
        elif open_:
            if "QUOTED-PRINTABLE" in parameters.upper():
                value = decode(quopri.decodestring(value.encode("utf-8")))
            open_[-1].properties.setdefault(name, []).append((parameters, value))
    yield from reversed(open_)


def _parted(line: str) -> tuple[str, str, str]:
    """A content line at its first colon outside of quotation marks."""
    quoted = False
    for place, character in enumerate(line):
        if character == '"':
            quoted = not quoted
        elif character == ":" and not quoted:
            return line[:place], ":", line[place + 1 :]
    return line, "", ""


def _lines(component: _Component, wanted: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for name, label in wanted:
        values = filter(None, (_shown(*one) for one in component.properties.get(name, ())))
        text = ", ".join(dict.fromkeys(values))
        if text:
            yield f"{label}: {text}"


def _shown(parameters: str, value: str) -> str:
    """A value as a person writes it: dates apart, a participant by name and address, an address on one line."""
    date = _DATE.fullmatch(value.strip())
    if date:
        day = "-".join(date.groups()[:3])
        zone = re.search(r"TZID=\"?([^;:\"]+)", parameters)
        suffix = " UTC" if date[7] else f" {zone[1]}" if zone else ""
        return f"{day} {date[4]}:{date[5]}{suffix}" if date[4] else day
    text = " ".join(_unescaped(value).split())
    name = re.search(r"(?:^|;)CN=\"?([^;\"]+)", parameters)
    if text.lower().startswith("mailto:"):
        text = text[len("mailto:") :]
        return f"{name[1]} <{text}>" if name and name[1] != text else text
    parts = [part.strip() for part in text.split(";")]
    return text if "=" in text else ", ".join(filter(None, parts))


def _unescaped(value: str) -> str:
    return _ESCAPE.sub(lambda escape: "\n" if escape[1] in "nN" else escape[1], value)
