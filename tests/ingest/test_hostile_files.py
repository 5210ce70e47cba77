"""Hundreds of files made to harm end in the verdict they deserve, and harm nothing: not memory, disk, network or the
next document."""

from __future__ import annotations

import json
import mmap
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hostile_corpus import GOOD, MARK, SECRET

from core.documents import Parsed
from core.errors import UnreadableDocument
from ingest.parsing.limits import MIB, Limits
from ingest.parsing.sandbox import SandboxedParser
from ingest.sync import loader

LIMITS = Limits(seconds=25.0, silence_seconds=15.0)
GROWTH_BYTES = 50 * MIB
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Listener:
    """What hostile files would call, on 127.0.0.1: it counts who does."""

    def __init__(self) -> None:
        self.reached = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._count)
        self._thread.start()

    def _count(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                if connection.recv(3) == b"end":
                    return
            self.reached += 1

    def close(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as ending:
            ending.sendall(b"end")
        self._thread.join()
        self._socket.close()


@dataclass(frozen=True)
class Corpus:
    folder: Path
    listener: Listener

    def rows(self, *, deep: bool) -> list[tuple[str, str, list[str]]]:
        listed = json.loads((self.folder / "manifest.json").read_text("ascii"))
        return [(file, name, verdicts) for file, name, verdicts, is_deep in listed if is_deep == deep]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    folder, listener = tmp_path_factory.mktemp("hostile"), Listener()
    # In a process of its own: this one's memory is measured.
    program = Path(__file__).with_name("hostile_corpus.py")
    subprocess.run([sys.executable, str(program), str(folder), str(listener.port)], check=True)
    yield Corpus(folder, listener)
    listener.close()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE_BYTES


def escaped_files() -> list[Path]:
    """Whatever bears the mark of the corpus, where a careless parser would have put it."""
    here = Path(__file__).resolve()
    places = {Path("/"), Path("/tmp"), Path.cwd(), Path.home(), *here.parents, *Path.cwd().parents}
    return [path for place in places for path in place.glob(f"*{MARK}*")]


def leaks(parsed: Parsed) -> bool:
    """Whether a document holds what only another file of this machine does."""
    words = "".join((parsed.text, parsed.title, *(one.name for one in parsed.attachments)))
    return SECRET in words or "root:x:" in words or any(SECRET.encode() in one.data for one in parsed.attachments)


def run(corpus: Corpus, *, deep: bool) -> None:
    """Read all files and, after each, a sound one; what is wrong is listed by name."""
    wrong: list[tuple[str, str, float]] = []
    leaked: list[str] = []
    growth = 0
    with SandboxedParser(LIMITS) as parser:
        assert isinstance(parser.parse(b"Twenty days of leave.", "good.txt"), Parsed)
        before = resident_bytes()
        for file, name, verdicts in corpus.rows(deep=deep):
            data = (corpus.folder / file).read_bytes()
            began = time.monotonic()
            try:
                parsed = parser.parse(data, name)
                verdict = "text"
                if leaks(parsed):
                    leaked.append(name)
                del parsed
            except UnreadableDocument as failure:
                verdict = failure.verdict
                if SECRET in failure.reason:
                    leaked.append(name)
            seconds = time.monotonic() - began
            del data
            if verdict not in verdicts or seconds > LIMITS.seconds + 10:
                wrong.append((name, verdict, round(seconds, 1)))
            assert parser.parse(b"Twenty days of leave.", "good.txt").text == "Twenty days of leave.", f"after {name}"
            growth = max(growth, resident_bytes() - before)
    assert not wrong
    assert not leaked
    assert growth < GROWTH_BYTES
    assert not escaped_files()
    assert corpus.listener.reached == 0


def test_every_hostile_file_ends_with_its_verdict_and_harms_nothing(corpus: Corpus) -> None:
    assert len(corpus.rows(deep=False)) >= 150
    run(corpus, deep=False)


@pytest.mark.deep
def test_those_that_take_their_time_end_within_it(corpus: Corpus) -> None:
    run(corpus, deep=True)


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_the_sound_documents_that_hostile_ones_are_made_of_are_read(kind: str) -> None:
    with SandboxedParser(LIMITS) as parser:
        assert parser.parse(GOOD[kind](), f"good.{kind}").text.strip()


def test_one_line_of_a_gigabyte_is_refused_by_its_size_unread(tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    with path.open("wb") as file:
        file.truncate(1024 * MIB)
    before = resident_bytes()
    with pytest.raises(UnreadableDocument) as refused:
        loader(path, Limits().input_bytes)()
    assert refused.value.verdict == "too_large"
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as line:
        with SandboxedParser(LIMITS) as parser, pytest.raises(UnreadableDocument) as refused:
            parser.parse(line, "line.txt")  # type: ignore[arg-type]
        assert refused.value.verdict == "too_large"
    assert resident_bytes() - before < GROWTH_BYTES


def test_the_listener_would_notice(corpus: Corpus) -> None:
    before = corpus.listener.reached
    with socket.create_connection(("127.0.0.1", corpus.listener.port)) as calling:
        calling.sendall(b"hey")
        calling.settimeout(5)
        assert calling.recv(1) == b""
    deadline = time.monotonic() + 5
    while corpus.listener.reached == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert corpus.listener.reached == before + 1
