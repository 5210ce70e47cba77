"""A file is read as what it is; a name that contradicts its bytes, and what we do not read, are refused by kind."""

from __future__ import annotations

import gzip
import io
import random
import zipfile

import docx
import pytest

from core.errors import UnreadableDocument
from ingest.parsing.detection import (
    CALENDAR,
    COMPRESSED,
    CSV,
    DOCX,
    EML,
    EPUB,
    HTML,
    JPEG,
    JSON,
    MARKDOWN,
    MBOX,
    NOTEBOOK,
    ODT,
    ORG,
    PDF,
    PLAIN,
    PNG,
    PPTX,
    RTF,
    SRT,
    TEX,
    TSV,
    VCARD,
    VTT,
    WEBP,
    XLSX,
    XML,
    ZIP,
    detect,
)
from ingest.parsing.formats import PARSERS, parse


def word_document() -> bytes:
    document = docx.Document()
    document.add_paragraph("Hello")
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def archive(*names: str, content: bytes = b"x") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name in names:
            target.writestr(name, content)
    return buffer.getvalue()


NOISE = random.Random(7).randbytes(4096)
PICTURE = b"\x89PNG\r\n\x1a\n" + NOISE


@pytest.mark.parametrize(
    ("data", "name", "media_type"),
    [
        (b"# Title", "policy.md", MARKDOWN),
        (b"# Title", "policy.MD", MARKDOWN),
        (b"# Title", "page.html.md.erb", MARKDOWN),
        (b"<p>x</p>", "page.htm", HTML),
        (b"<!DOCTYPE html><p>x</p>", "no-suffix", HTML),
        (b"plain words", "README", PLAIN),
        (b"plain words", "notes.txt", PLAIN),
        (b"a,b\n1,2\n", "table.csv", CSV),
        (b"a\tb\n1\t2\n", "table.tsv", TSV),
        (b"a,b\n1,2\n", "table", CSV),
        (b"only words, and more\nhere\n", "notes", PLAIN),
        (b"%PDF-1.7\n...", "report", PDF),
        (b"\n\n%PDF-1.4\n...", "report.v2", PDF),
        (word_document(), "letter", DOCX),
        (word_document(), "letter.docx", DOCX),
        ("Übung".encode("utf-16"), "utf16.txt", PLAIN),
        (archive("xl/workbook.xml"), "table", XLSX),
        (archive("xl/workbook.xml"), "table.xlsm", XLSX),
        (archive("ppt/presentation.xml"), "slides.pptx", PPTX),
        (archive("mimetype", content=b"application/vnd.oasis.opendocument.text"), "letter", ODT),
        (archive("mimetype", content=b"application/vnd.oasis.opendocument.text-template"), "letter.ott", ODT),
        (archive("mimetype", content=b"application/epub+zip"), "book.epub", EPUB),
        (archive("META-INF/container.xml"), "book", EPUB),
        (b"From: a@example.org\r\nSubject: x\r\n\r\nHi", "mail", EML),
        (b"From: a@example.org\r\nSubject: x\r\n\r\nHi", "saved.mail", EML),
        (b'{"a": 1}', "settings", JSON),
        (b"[see] the notes", "notes", PLAIN),
        (b'<?xml version="1.0"?><a/>', "export.rss", XML),
        (PICTURE, "picture", PNG),
        (b"\xff\xd8\xff\xe0" + NOISE, "scan.png", JPEG),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 " + NOISE, "photo.webp", WEBP),
        (b"padded" + bytes(64) + b"text", "nul.txt", PLAIN),
        (b"A file begins with %PDF-1.7 and its version.", "notes.txt", PLAIN),
        (b"HTTP/1.1 200 OK\r\n\r\n%PDF-1.7\n" + NOISE, "saved", PDF),
        (b"WEBVTT\n\n00:01.000 --> 00:02.000\nGood morning.", "call", VTT),
        (b"1\n00:00:01,000 --> 00:00:02,000\nGood morning.\n", "call", SRT),
        (b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "invitation", CALENDAR),
        (b"BEGIN:VCARD\r\nEND:VCARD\r\n", "ana", VCARD),
        (b'{"nbformat": 4, "cells": []}', "study", NOTEBOOK),
        (b"% A paper\n\n\\documentclass{article}", "paper", TEX),
        (b"#+TITLE: Notes\n* One", "notes", ORG),
        (b"From ana Mon Mar  2 09:00:00 2026\nSubject: x\n\nHi\n", "archive", MBOX),
        (b"import os\n", "tool.py", "text/x-python"),
        (b"#!/usr/bin/env -S python3 -u\nimport os\n", "tool", "text/x-python"),
        (b"#!/bin/bash\nls\n", "tool", "text/x-shell"),
        (b"all: build\n\tcc x.c\n", "Makefile", PLAIN),
        (b"FROM debian\nRUN make\n", "Dockerfile", PLAIN),
        (b"words of a release", "notes.v2", PLAIN),
        (archive("a.txt"), "things", ZIP),
        (b"{\\rtf1 words}", "letter.doc", RTF),
        (b"a,b\n1,2\n", "really-text.xlsx", CSV),
        (b"only words, and more\nhere\n", "really-text.docx", PLAIN),
        (b"<html><body>x</body></html>", "really-html.pdf", HTML),
        (b"%PDF-1.7\n...", "really-pdf.docx", PDF),
        (word_document(), "really-word.pdf", DOCX),
        (archive("xl/workbook.xml"), "table.docx", XLSX),
        (gzip.compress(b"words", mtime=0), "words.txt.gz", COMPRESSED),
    ],
)
def test_content_decides_and_the_name_only_among_kinds_of_text(data: bytes, name: str, media_type: str) -> None:
    assert detect(data, name) == media_type
    assert media_type in PARSERS or media_type == COMPRESSED


@pytest.mark.parametrize(
    ("data", "name", "verdict", "said"),
    [
        (b"", "a.txt", "empty", "empty"),
        (b"\n\n%PDF-1.4\n...", "really-pdf.txt", "malformed", "rename it to .pdf"),
        (word_document(), "really-word.txt", "malformed", "rename it to .docx"),
        (b"\xef\xbb\xbf \n\x00", "a.docx", "empty", "empty"),
        (PICTURE, "picture.md", "malformed", "rename it to .png"),
        (NOISE, "noise.txt", "unsupported", "binary"),
        (NOISE, "noise.pdf", "unsupported", "binary"),
        (archive("xl/workbook.xml"), "table.csv", "malformed", "rename it to .xlsx"),
        (archive("xl/workbook.bin"), "table.xlsb", "unsupported", "XLSX"),
        (archive("ppt/presentation.xml"), "slides.pptx", "malformed", "damaged"),
        (archive("a.txt"), "things.jar", "unsupported", "program"),
        (gzip.compress(b"words", mtime=0), "words.txt", "malformed", "rename it to .gz"),
        (b"<svg></svg>", "logo.svg", "unsupported", "drawing"),
        (b"-----BEGIN PRIVATE KEY-----", "server.pem", "unsupported", "key"),
        (word_document()[:9_000], "cut.docx", "malformed", "damaged"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt " + NOISE, "song.wav", "unsupported", "sound"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "old.doc", "unsupported", "2007"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "locked.docx",
            "encrypted",
            "password",
        ),
    ],
)
def test_what_is_not_read_is_refused_by_what_it_is(data: bytes, name: str, verdict: str, said: str) -> None:
    with pytest.raises(UnreadableDocument, match=said) as failure:
        parse(data, name)
    assert failure.value.verdict == verdict


def test_a_decompression_bomb_is_hostile_and_never_unpacked() -> None:
    bomb = archive("word/document.xml", content=bytes(64 * 1024 * 1024))
    assert len(bomb) < 100_000
    with pytest.raises(UnreadableDocument, match="decompression bomb") as failure:
        parse(bomb, "letter.docx")
    assert failure.value.verdict == "hostile"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_word_document_that_declares_entities_is_hostile(encoding: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(word_document())) as source, zipfile.ZipFile(buffer, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "word/document.xml":
                declared = '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d>&x;</d>'
                content = f'<?xml version="1.0" encoding="{encoding}"?>{declared}'.encode(encoding)
            target.writestr(name, content)
    with pytest.raises(UnreadableDocument, match="entities") as failure:
        parse(buffer.getvalue(), "letter.docx")
    assert failure.value.verdict == "hostile"
