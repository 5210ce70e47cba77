"""Transcripts with times (WebVTT, SubRip): what was said by whom, under headings that tell when."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import unescape

from core.documents import BlockKind, Parsed
from ingest.parsing.assembly import Assembly
from ingest.parsing.charsets import decode
from ingest.parsing.detection import SRT, VTT

# A heading with the time stands where so long has passed and so much been said since the last one: about one passage.
SECTION_SECONDS = 60.0
SECTION_CHARACTERS = 600
# One speaker's words are parted at the end of a sentence once they are as long.
_PARAGRAPH_CHARACTERS = 500
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")
# Captions that roll show each line twice, the second time as the first line of a cue that follows at once.
_ROLLING_SECONDS = 0.1

_EMPTY_LINES = re.compile(r"\n(?:[ \t]*\n)+")
_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMING = re.compile(rf"[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}")
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,100})?[ \t]{1,9}([^<>]{0,200})>")
_TAG = re.compile(r"</?[A-Za-z\d][^<>]{0,200}>|\{\\[^{}]{0,200}\}")


@dataclass(frozen=True)
class _Cue:
    """A few words and when they begin and end, in seconds; `speaker` is empty where nobody is named."""

    start: float
    end: float
    speaker: str
    lines: tuple[str, ...]


def parse_vtt(data: bytes) -> Parsed:
    """A WebVTT transcript (W3C): the words of its cues, `Speaker: ` before each turn; notes and styles are left out.

    A speaker is named in full once a section, then by the first name where that is nobody else's. Where there is more
    than one section, a heading `00:12:30` tells when each begins. Raises `UnreadableDocument("empty")`.
    """
    return _transcript(data, VTT)


def parse_srt(data: bytes) -> Parsed:
    """A SubRip transcript, as `parse_vtt` reads the other kind."""
    return _transcript(data, SRT)


def _transcript(data: bytes, media_type: str) -> Parsed:
    text = decode(data).replace("\r\n", "\n").replace("\r", "\n")
    sections = list(_sections(_without_rolling(_cues(text))))
    short = _short_names({cue.speaker for section in sections for cue in section})
    assembly = Assembly()
    for section in sections:
        if len(sections) > 1:
            assembly.add(BlockKind.HEADING, _clock(section[0].start), level=1)
        for paragraph in _paragraphs(section, short):
            assembly.add(BlockKind.PARAGRAPH, paragraph)
    return assembly.parsed(media_type)


def _cues(text: str) -> Iterator[_Cue]:
    for block in _EMPTY_LINES.split(text):
        lines = block.split("\n")
        # An identifier or a number may stand above the times; what has no times is a header, a note or a style.
        place = next((place for place, line in enumerate(lines[:2]) if _TIMING.match(line)), None)
        timing = _TIMING.match(lines[place]) if place is not None else None
        if place is None or timing is None:
            continue
        times = timing.groups()
        start, end = _seconds(times[:4]), _seconds(times[4:])
        speaker, spoken = "", "\n".join(lines[place + 1 :])
        # Every other piece is the name of who speaks the next.
        for index, piece in enumerate(_VOICE.split(spoken)):
            if index % 2:
                speaker = _plain(piece)
                continue
            said = tuple(filter(None, map(_plain, piece.split("\n"))))
            if said:
                yield _Cue(start, end, speaker, said)


def _seconds(time: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = (int(part or 0) for part in time)
    return hours * 3600 + minutes * 60 + seconds + fraction / 1000


def _plain(text: str) -> str:
    return " ".join(unescape(_TAG.sub("", text)).split())


def _without_rolling(cues: Iterable[_Cue]) -> Iterator[_Cue]:
    before = _Cue(0.0, -1.0, "", ("",))
    for cue in cues:
        lines = cue.lines
        follows = cue.speaker == before.speaker and abs(cue.start - before.end) <= _ROLLING_SECONDS
        if follows and lines[0] == before.lines[-1]:
            lines = lines[1:]
        before = cue
        if lines:
            yield _Cue(cue.start, cue.end, cue.speaker, lines)


def _sections(cues: Iterable[_Cue]) -> Iterator[list[_Cue]]:
    section: list[_Cue] = []
    said = 0
    for cue in cues:
        if section and cue.start - section[0].start >= SECTION_SECONDS and said >= SECTION_CHARACTERS:
            yield section
            section, said = [], 0
        section.append(cue)
        said += sum(map(len, cue.lines))
    if section:
        yield section


def _short_names(speakers: set[str]) -> dict[str, str]:
    """What each speaker is called once named in full: the first name, where it is one and nobody else's."""
    firsts = {speaker: speaker.partition(" ")[0] for speaker in speakers}
    counts = Counter(firsts.values())
    return {
        speaker: first if first.isalpha() and len(first) > 1 and counts[first] == 1 else speaker
        for speaker, first in firsts.items()
    }


def _paragraphs(section: list[_Cue], short: dict[str, str]) -> Iterator[str]:
    """The turns of the speakers, long ones in parts; in each section everybody is named in full once."""
    named: set[str] = set()

    def turn(speaker: str, words: str) -> str:
        name = short[speaker] if speaker in named else speaker
        named.add(speaker)
        return f"{name}: {words}" if name else words

    speaker, words = section[0].speaker, ""
    for cue in section:
        is_long = len(words) >= _PARAGRAPH_CHARACTERS and words.endswith(_SENTENCE_ENDS)
        if words and (cue.speaker != speaker or is_long):
            yield turn(speaker, words)
            words = ""
        speaker = cue.speaker
        words = " ".join(filter(None, (words, *cue.lines)))
    yield turn(speaker, words)


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
