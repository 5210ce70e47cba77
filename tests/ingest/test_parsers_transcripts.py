"""Transcripts: the words, who said them, and when; numbers, times and tags of cues are not in the text."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.chunking import chunk
from ingest.parsing.transcripts import SECTION_SECONDS, parse_srt, parse_vtt


def texts(parsed: Parsed) -> list[str]:
    return [parsed.text[block.start : block.end] for block in parsed.blocks]


VTT = """WEBVTT - A meeting
Kind: captions

STYLE
::cue { color: red }

NOTE not
spoken

intro-1
00:00:01.000 --> 00:00:03.500 align:left
<v Ana Berg>Good morning &amp; welcome.

00:04.000 --> 00:05.000
<v.loud Ana Berg>Today <i>leave</i>,
<00:00:04.500><c.yellow>then</c> travel.</v>

00:05.000 --> 00:06.000
<v Ben>Thanks!</v> <v Ana Berg>Sure.
"""


def test_a_webvtt_transcript_is_turns_of_its_speakers() -> None:
    assert texts(parse_vtt(VTT.encode())) == [
        "Ana Berg: Good morning & welcome. Today leave, then travel.",
        "Ben: Thanks!",
        "Ana: Sure.",
    ]


@pytest.mark.parametrize(
    ("speakers", "shown"),
    [
        (("Ana Berg", "Ben Ohm", "Ana Berg"), ["Ana Berg: x", "Ben Ohm: x", "Ana: x"]),
        (("Ana Berg", "Ana Ohm", "Ana Berg"), ["Ana Berg: x", "Ana Ohm: x", "Ana Berg: x"]),
        (("Dr. Berg", "Speaker 2", "Dr. Berg"), ["Dr. Berg: x", "Speaker 2: x", "Dr. Berg: x"]),
    ],
)
def test_a_speaker_is_named_in_full_and_then_by_a_name_that_is_nobody_elses(
    speakers: tuple[str, ...], shown: list[str]
) -> None:
    cues = (f"00:0{at}.000 --> 00:0{at + 1}.000\n<v {name}>x" for at, name in enumerate(speakers))
    assert texts(parse_vtt(("WEBVTT\n\n" + "\n\n".join(cues)).encode())) == shown


def test_a_subrip_transcript_is_its_words() -> None:
    srt = (
        "1\r\n00:00:01,000 --> 00:00:02,000\r\nANA: Good <b>morning</b>.\r\n\r\n"
        "2\r\n00:00:02,000 --> 00:00:03,000\r\n{\\an8}It is\r\n12 o'clock.\r\n"
    )
    assert texts(parse_srt(srt.encode("utf-8-sig"))) == ["ANA: Good morning. It is 12 o'clock."]


def test_captions_that_roll_are_said_once_and_words_said_twice_stay() -> None:
    lines = ["so we", "so we\nbegin", "begin\nnow"]
    cues = (f"00:0{at}.000 --> 00:0{at + 1}.000\n{line}" for at, line in enumerate(lines))
    rolling = "WEBVTT\n\n" + "\n\n".join(cues)
    assert parse_vtt(rolling.encode()).text == "so we begin now"
    assert parse_vtt(b"WEBVTT\n\n00:01.000 --> 00:02.000\nNo.\n\n00:03.000 --> 00:04.000\nNo.").text == "No. No."


def clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def test_every_passage_of_a_long_transcript_stands_under_the_time_when_it_begins() -> None:
    said = {at: f"Sentence number {at} of the talk about leave and travel goes on." for at in range(3590, 4190, 6)}
    cues = (f"{clock(at)}.000 --> {clock(at + 6)}.000\n{text}" for at, text in said.items())
    parsed = parse_vtt(("WEBVTT\n\n" + "\n\n".join(cues)).encode())
    headings = [parsed.text[one.start : one.end] for one in parsed.blocks if one.kind is BlockKind.HEADING]
    assert headings[:3] == ["00:59:50", "01:00:50", "01:01:50"]
    pieces = chunk(parsed, lambda all_: [len(one.split()) + 2 for one in all_], 256)
    for at, text in said.items():
        place = parsed.text.index(text)
        piece = next(one for one in pieces if one.start <= place < one.end)
        began = piece.heading[0] if piece.heading else parsed.text[piece.start : piece.start + 8]
        assert clock(max(0, at - int(2 * SECTION_SECONDS))) <= began <= clock(at)


@pytest.mark.parametrize("parse", [parse_vtt, parse_srt])
def test_a_transcript_in_which_nobody_speaks_is_empty(parse: Callable[[bytes], Parsed]) -> None:
    with pytest.raises(UnreadableDocument) as failure:
        parse(b"WEBVTT\n\nNOTE nothing\n\n00:01.000 --> 00:02.000\n<v Ana></v>\n")
    assert failure.value.verdict == "empty"


@pytest.mark.parametrize("piece", [b"<v ", b"<", b"\n \n", b"{\\", b"00:01.000 -->", b"&amp", b"<v a>"])
def test_no_transcript_takes_more_than_its_length_is_worth(piece: bytes) -> None:
    began = time.process_time()
    parse_vtt(b"WEBVTT\n\n00:01.000 --> 00:02.000\nx" + piece * 60_000)
    assert time.process_time() - began < 5.0
