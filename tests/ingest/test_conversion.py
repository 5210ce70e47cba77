"""Files of before 2007 are read where LibreOffice is there, by a process that can do nothing else."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest
from compound_files import compound_file
from openpyxl import Workbook
from pptx import Presentation

from core.errors import UnreadableDocument
from ingest.parsing.conversion import ConvertingParser
from ingest.parsing.office_limits import OfficeLimits
from ingest.parsing.sandbox import SandboxedParser

OFFICE = shutil.which("soffice") or ""
needs_office = pytest.mark.skipif(not OFFICE, reason="LibreOffice is not on this machine")
OLD_WORD = compound_file({"WordDocument": b"\xec\xa5" + bytes(5_000)})


def refused(parser: ConvertingParser, data: bytes, name: str) -> UnreadableDocument:
    with closing(parser), pytest.raises(UnreadableDocument) as failure:
        parser.parse(data, name)
    return failure.value


def scratch() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob("footnote-office-*")}


@pytest.mark.parametrize("program", ["", "no-such-office"])
@pytest.mark.parametrize(
    ("name", "stream"), [("a.doc", "WordDocument"), ("a.xls", "Workbook"), ("a.ppt", "PowerPoint Document")]
)
def test_without_libreoffice_the_refusal_says_what_to_install(program: str, name: str, stream: str) -> None:
    failure = refused(ConvertingParser(SandboxedParser(), program), compound_file({stream: b"x"}), name)
    assert failure.verdict == "unsupported"
    assert "libreoffice-writer-nogui" in failure.reason


def test_what_is_not_of_before_2007_goes_past_the_converter() -> None:
    with closing(ConvertingParser(SandboxedParser(), "no-such-office")) as parser:
        assert parser.parse(b"# Title", "a.md").text == "Title"
    misnamed = refused(ConvertingParser(SandboxedParser(), "sh"), OLD_WORD, "a.txt")
    assert (misnamed.verdict, "rename it to .doc" in misnamed.reason) == ("malformed", True)


def stand_in(folder: Path, script: str) -> str:
    """A program in LibreOffice's place; it lies where LibreOffice may be read from."""
    path = folder / "office"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def program_folder() -> Path:
    if os.geteuid() != 0:
        pytest.skip("only root can place a program where the converter may read it")
    folder = Path(tempfile.mkdtemp(dir="/opt"))
    folder.chmod(0o755)
    return folder


def test_a_converter_that_misbehaves_is_contained(program_folder: Path) -> None:
    # Open to every user, so that nothing but the bounds of the process keeps it from here.
    open_folder = Path(tempfile.mkdtemp())
    open_folder.chmod(0o777)
    (open_folder / "secret").write_text("secret words")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        script = f"""
{{ cat {open_folder}/secret; id -u; touch {open_folder}/made
bash -c 'echo x > /dev/udp/127.0.0.1/{port}'; env; }} > out/document.odt 2>&1
sleep 9{port} &
"""
        try:
            with closing(ConvertingParser(SandboxedParser(), stand_in(program_folder, script))) as parser:
                told = parser._converted(parser.program, OLD_WORD, "doc", "odt").decode()
            made = (open_folder / "made").exists()
        finally:
            shutil.rmtree(program_folder)
            shutil.rmtree(open_folder)
        listening.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listening.recv(10)
    assert "secret words" not in told
    assert not made
    assert "65534" in told
    assert "FOOTNOTE" not in told and "PYTHONPATH" not in told
    assert not scratch()
    running = [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"sleep\x009%d\x00" % port in _bytes(path)]
    assert not running


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_converter_that_never_ends_is_ended(program_folder: Path) -> None:
    try:
        program = stand_in(program_folder, "trap '' TERM INT HUP; while :; do :; done")
        began = time.monotonic()
        failure = refused(ConvertingParser(SandboxedParser(), program, limits=OfficeLimits(1.0)), OLD_WORD, "a.doc")
    finally:
        shutil.rmtree(program_folder)
    assert failure.verdict == "timeout"
    assert time.monotonic() - began < 30


def test_a_result_that_leads_elsewhere_is_none(program_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.odt").write_text("secret words")
    try:
        program = stand_in(program_folder, f"ln -s {tmp_path}/secret.odt out/document.odt")
        failure = refused(ConvertingParser(SandboxedParser(), program), OLD_WORD, "a.doc")
    finally:
        shutil.rmtree(program_folder)
    assert failure.verdict == "malformed"


@needs_office
@pytest.mark.deep
def test_old_documents_keep_words_headings_and_tables(tmp_path: Path) -> None:
    """Written in the old formats by LibreOffice itself, out of documents that it did not write."""
    row = rb"\trowd\cellx3000\cellx6000\pard\intbl %s\cell %s\cell\row"
    letter = rb"{\rtf1\ansi{\stylesheet{\s0 Normal;}{\s1\outlinelevel0 heading 1;}}\pard\s1 Leave policy\par\pard\s0 "
    letter += (
        rb"Everyone has 20 days of paid leave: Gr\'f6\'dfe.\par" + row % (b"Kind", b"Days") + row % (b"Paid", b"20")
    )
    (tmp_path / "letter.rtf").write_bytes(letter + rb"\pard The end.\par}")
    book = Workbook()
    book.active.append(["City", "Rate"])
    book.active.append(["Rome", 90])
    book.save(tmp_path / "rates.xlsx")
    show = Presentation()
    for title in ("Leave policy", "Travel policy"):
        slide = show.slides.add_slide(show.slide_layouts[1])
        slide.shapes.title.text, slide.placeholders[1].text = title, f"What the {title.lower()} says."
    slide.notes_slide.notes_text_frame.text = "Ask who was there."
    table = slide.shapes.add_table(2, 2, 0, 0, 5_000_000, 1_000_000).table
    for number, text in enumerate(("City", "Rate", "Rome", "90")):
        table.cell(number // 2, number % 2).text = text
    show.save(tmp_path / "slides.pptx")
    with closing(ConvertingParser(SandboxedParser(), OFFICE)) as parser:
        for name, old in (("letter.rtf", "doc"), ("rates.xlsx", "xls"), ("slides.pptx", "ppt")):
            data = parser._converted(OFFICE, (tmp_path / name).read_bytes(), name.partition(".")[2], old)
            (tmp_path / name).with_suffix(f".{old}").write_bytes(data)
        parsed = parser.parse((tmp_path / "letter.doc").read_bytes(), "letter.doc")
        assert [(block.kind.value, parsed.text[block.start : block.end]) for block in parsed.blocks] == [
            ("heading", "Leave policy"),
            ("paragraph", "Everyone has 20 days of paid leave: Größe."),
            ("table", "Kind | Days\nPaid | 20"),
            ("paragraph", "The end."),
        ]
        assert parsed.media_type == "application/msword"
        assert "City | Rate\nRome | 90" in parser.parse((tmp_path / "rates.xls").read_bytes(), "rates.xls").text
        slides = parser.parse((tmp_path / "slides.ppt").read_bytes(), "slides.ppt")
        assert [(block.kind.value, block.page, slides.text[block.start : block.end]) for block in slides.blocks] == [
            ("heading", 1, "Leave policy"),
            ("list_item", 1, "What the leave policy says."),
            ("heading", 2, "Travel policy"),
            ("list_item", 2, "What the travel policy says."),
            ("table", 2, "City | Rate\nRome | 90"),
            ("paragraph", 2, "Notes: Ask who was there."),
        ]
        assert slides.media_type == "application/vnd.ms-powerpoint"
    assert not scratch()
    assert not [path for path in Path("/tmp").glob("OSL_PIPE_*") if stat.S_ISSOCK(path.stat().st_mode)]
