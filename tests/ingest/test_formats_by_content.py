"""A file under another kind's name, or under none, is read as what it is: every sample under every wrong ending."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import hostile_corpus as samples
import pytest
from compound_files import compound_file
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from core.errors import UnreadableDocument
from ingest.parsing import detection
from ingest.parsing.detection import TEXT_SUFFIXES, detect
from ingest.parsing.formats import parse

SETS = Path(__file__).parents[3] / "shared" / "eval" / "doc_formats"
SAID = "Everybody has twenty days of leave."


def page() -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out)
    canvas.drawString(72, 700, SAID)
    canvas.save()
    return out.getvalue()


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 20), "white").save(out, kind)
    return out.getvalue()


BINARY: dict[str, tuple[bytes, str]] = {
    ".pdf": (page(), detection.PDF),
    ".docx": (samples.good("docx"), detection.DOCX),
    ".xlsx": (samples.good("xlsx"), detection.XLSX),
    ".pptx": (samples.good("pptx"), detection.PPTX),
    ".odt": (samples.good("odt"), detection.ODT),
    ".epub": (samples.good("epub"), detection.EPUB),
    ".zip": (samples.zipped({"a.txt": SAID}), detection.ZIP),
    ".gz": (gzip.compress(SAID.encode(), mtime=0), detection.COMPRESSED),
    ".doc": (compound_file({"WordDocument": b"x"}), detection.DOC),
    ".xls": (compound_file({"Workbook": b"x"}), detection.XLS),
    ".ppt": (compound_file({"PowerPoint Document": b"x"}), detection.PPT),
    ".png": (picture("PNG"), detection.PNG),
    ".jpg": (picture("JPEG"), detection.JPEG),
    ".webp": (picture("WEBP"), detection.WEBP),
}
TABLE = "Name;Days\nAna;20\nBen;22\n"
TEXT: dict[str, tuple[bytes, str]] = {
    ".html": (f"<!doctype html><html><body><h1>Leave</h1><p>{SAID}</body></html>".encode(), detection.HTML),
    ".vtt": (f"WEBVTT\n\n00:01.000 --> 00:02.000\n{SAID}\n".encode(), detection.VTT),
    ".srt": (f"1\n00:00:01,000 --> 00:00:02,000\n{SAID}\n".encode(), detection.SRT),
    ".ics": (
        b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:Leave\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        detection.CALENDAR,
    ),
    ".vcf": (b"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:The office\r\nEND:VCARD\r\n", detection.VCARD),
    ".tex": (rf"\documentclass{{article}}\begin{{document}}{SAID}\end{{document}}".encode(), detection.TEX),
    ".eml": (f"Subject: Leave\r\nMIME-Version: 1.0\r\nFrom: a@example.org\r\n\r\n{SAID}\r\n".encode(), detection.EML),
    ".json": (json.dumps({"leave": SAID, "days": [20, 22]}).encode(), detection.JSON),
    ".ipynb": (
        json.dumps({"nbformat": 4, "cells": [{"cell_type": "markdown", "source": [SAID]}]}).encode(),
        detection.NOTEBOOK,
    ),
    ".rtf": (rf"{{\rtf1\ansi {SAID}}}".encode(), detection.RTF),
}


@pytest.mark.parametrize("own", BINARY)
def test_a_document_is_told_by_its_bytes_under_every_name_but_that_of_a_text(own: str) -> None:
    data, media_type = BINARY[own]
    is_archive = media_type == detection.ZIP  # under the name of a package it is one that lacks its document
    suffixes = [
        suffix for suffix in BINARY if not (is_archive and suffix in (".docx", ".xlsx", ".pptx", ".odt", ".epub"))
    ]
    names = ["leave", "leave.of.2026", *(f"leave{suffix}" for suffix in suffixes)]
    assert {name: detect(data, name) for name in names} == dict.fromkeys(names, media_type)
    for suffix in (".txt", ".csv", ".md", ".html", ".json", ".py"):
        with pytest.raises(UnreadableDocument, match="rename it to") as failure:
            detect(data, f"leave{suffix}")
        assert failure.value.verdict == "malformed"


@pytest.mark.parametrize("own", TEXT)
def test_a_text_that_shows_what_it_is_is_read_so_under_every_name(own: str) -> None:
    data, media_type = TEXT[own]
    names = ["leave", *(f"leave{suffix}" for suffix in (*BINARY, *TEXT, ".txt", ".md", ".csv", ".log"))]
    # SubRip and WebVTT are read alike.
    told = {name: detect(data, name) for name in names}
    alike = {detection.VTT: {"leave.srt"}, detection.SRT: {"leave.vtt"}}.get(media_type, set())
    assert {name: kind for name, kind in told.items() if kind != media_type and name not in alike} == {}
    for name in names:
        assert parse(data, name).text, name


@pytest.mark.parametrize("suffix", [*BINARY, ""])
def test_a_table_of_text_is_a_table_under_the_name_of_a_workbook(suffix: str) -> None:
    for delimiter in ";,\t":
        data = TABLE.replace(";", delimiter).encode()
        assert parse(data, f"leave{suffix}").text == "Name | Days\nAna | 20\nBen | 22"
    assert parse(TABLE.encode(), "leave.tsv").text == "Name | Days\nAna | 20\nBen | 22"


@pytest.mark.parametrize(
    ("text", "name", "media_type"),
    [
        ("From: Ana\nTo: all\nSubject: leave\n\n" + SAID, "memo.txt", detection.PLAIN),
        ("<p align=center>Leave</p>\n\n# Leave\n", "README.md", detection.MARKDOWN),
        ('<?xml version="1.0"?> is how a file of XML begins.', "xml.md", detection.MARKDOWN),
        ("{not JSON, though it begins so}", "notes.txt", detection.PLAIN),
        ("[see] the notes", "notes.md", detection.MARKDOWN),
        ("<html><body>x</body></html>", "page.php", "text/x-php"),
        ("/* WEBVTT */", "reader.js", "text/x-javascript"),
    ],
)
def test_what_only_resembles_another_kind_stays_what_its_name_says(text: str, name: str, media_type: str) -> None:
    assert detect(text.encode(), name) == media_type


def test_a_header_that_never_ends_is_looked_at_once() -> None:
    """Each line can be read in one way only, so that telling mail from text does not take the square of its length."""
    assert detect(b"a: b\r\n c\r\n" * 6_000, "notes.txt") == detection.PLAIN
    assert detect(b"a:" * 30_000, "notes.txt") == detection.PLAIN


def test_public_documents_are_read_alike_without_their_names() -> None:
    """Whatever bears a mark of its own, under no name and under one of another document's kind."""
    if not SETS.exists():
        pytest.skip("the public set doc_formats is not on this machine")
    wrong, compared = [], 0
    for path in sorted((SETS / "files").iterdir()):
        data, own = path.read_bytes(), TEXT_SUFFIXES.get(path.suffix.lower(), "")
        media_type = detect(data, path.name)
        if own and media_type == own and own not in (detection.VTT, detection.NOTEBOOK, detection.JSON):
            continue  # kinds of text that look alike; pages and mails that lack what begins them
        other = ".docx" if path.suffix == ".pdf" else ".pdf"
        told = {name: detect(data, name) for name in ("document", f"document{other}")}
        compared += 1
        if set(told.values()) != {media_type}:
            wrong.append((path.name, media_type, told))
    assert not wrong
    assert compared > 60
