"""Calendars and contacts: what a person would read of them, names and dates as a person writes them."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from core.documents import Parsed
from core.errors import UnreadableDocument
from ingest.parsing.content_lines import parse_calendar, parse_vcard
from ingest.parsing.formats import parse

CALENDAR = """BEGIN:VCALENDAR\r
X-WR-CALNAME:Team calendar\r
BEGIN:VTIMEZONE\r
TZID:Europe/Berlin\r
END:VTIMEZONE\r
BEGIN:VEVENT\r
UID:4711@example.org\r
SUMMARY:Plan\\, next year\r
DTSTART;TZID=Europe/Berlin:20260302T090000\r
DTEND:20260302T100000Z\r
RRULE:FREQ=WEEKLY;BYDAY=MO\r
LOCATION:Room "Pier"\r
ORGANIZER;CN="Berg: Ana":mailto:ana@example.org\r
ATTENDEE;CN=Ben;ROLE=REQ-PARTICIPANT:mailto:ben@example.org\r
ATTENDEE:mailto:cleo@example.org\r
DESCRIPTION:Bring the\\nnumbers of a very long y\r
 ear.\r
BEGIN:VALARM\r
DESCRIPTION:Reminder\r
END:VALARM\r
END:VEVENT\r
BEGIN:VEVENT\r
SUMMARY:Holiday\r
DTSTART;VALUE=DATE:20260501\r
END:VEVENT\r
END:VCALENDAR\r
"""


def test_a_calendar_is_its_events() -> None:
    parsed = parse(CALENDAR.encode(), "invitation.ics")
    assert (parsed.title, parsed.media_type) == ("Team calendar", "text/calendar")
    assert parsed.text == (
        "Plan, next year\n\nStart: 2026-03-02 09:00 Europe/Berlin\nEnd: 2026-03-02 10:00 UTC\n"
        'Repeats: FREQ=WEEKLY;BYDAY=MO\nWhere: Room "Pier"\nOrganizer: Berg: Ana <ana@example.org>\n'
        "Attendees: Ben <ben@example.org>, cleo@example.org\n\nBring the\nnumbers of a very long year.\n\n"
        "Holiday\n\nStart: 2026-05-01"
    )


def test_contacts_are_their_names_and_how_to_reach_them() -> None:
    cards = (
        "BEGIN:VCARD\nVERSION:3.0\nFN:Ana Berg\nN:Berg;Ana;;;\nORG:Tarnbeck;Sales\nitem1.TEL;TYPE=work:+49 30 1234\n"
        "ADR:;;Quay 1;Trieste;;34100;Italy\nEMAIL:ana@example.org\nPHOTO;ENCODING=b:AAAA\n"
        "NOTE:Met in\\nRome.\nEND:VCARD\n"
        "BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=C3=9Cbel;Ben\nEND:VCARD\n"
    )
    assert parse(cards.encode(), "people.vcf").text == (
        "Ana Berg\n\nOrganization: Tarnbeck, Sales\nE-mail: ana@example.org\nTelephone: +49 30 1234\n"
        "Address: Quay 1, Trieste, 34100, Italy\n\nMet in\nRome.\n\nBen Übel"
    )


@pytest.mark.parametrize("reader", [parse_calendar, parse_vcard])
@pytest.mark.parametrize("piece", ["BEGIN:VEVENT\n", "BEGIN:VCARD\n", "N;" * 9, "\n ", ":", '"', "ATTENDEE;CN=\n"])
def test_no_input_takes_more_than_its_length_is_worth(reader: Callable[[bytes], Parsed], piece: str) -> None:
    began = time.process_time()
    with pytest.raises(UnreadableDocument):
        reader(b"BEGIN:VCARD\n" + piece.encode() * 60_000)
    assert time.process_time() - began < 5.0
