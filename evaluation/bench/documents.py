"""A folder of documents to bring in: a sample organization's paragraphs, put together anew, in five formats."""

from __future__ import annotations

import html
import io
import random
import textwrap
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import docx
from markdown_it import MarkdownIt

from core.errors import WrongUsage

SECTIONS = (4, 9)
PARAGRAPHS = (3, 8)
LIST_EVERY = 4
"""One section in so many ends with a list, and another with a table."""
_FEWEST_CHARACTERS = 120  # a paragraph of a sentence or two; shorter ones are signatures and labels
_FEWEST_PARAGRAPHS = 50
_COLUMNS = ("Item", "Amount", "Due")
_PDF_LINES, _PDF_COLUMNS = 48, 88
# The earliest date that a ZIP entry can carry, so that a Word file does not tell when it was built.
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; `rows` is a table whose first row is its header."""

    heading: str
    paragraphs: tuple[str, ...]
    items: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Text:
    """A document before it has a format."""

    title: str
    sections: tuple[Section, ...]


def write_documents(organization: Path, folder: Path, count: int, seed: int = 0) -> int:
    """Write `count` documents, as many of each format, and return the characters of text that they hold.

    Each puts paragraphs of the Markdown files below `organization` together anew, so that no two are alike and each
    reads like one of them; the same seed gives the same bytes. Raises `WrongUsage` where there is not enough to read.
    """
    headings, paragraphs = _read(organization)
    choose = random.Random(seed)  # noqa: S311 - the same documents every time, no secret
    suffixes = list(FORMATS)
    characters = 0
    for number in range(count):
        text = _text(choose, number, headings, paragraphs)
        suffix = suffixes[number % len(suffixes)]
        file = folder / f"{number % 12:02}" / f"{number:05}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(FORMATS[suffix](text))
        characters += len(plain(text).decode())
    return characters


def _read(organization: Path) -> tuple[list[str], list[str]]:
    """The headings and the paragraphs of an organization, each once, in the order of its files."""
    headings: dict[str, None] = {}
    paragraphs: dict[str, None] = {}
    for file in sorted(organization.rglob("*.md")):
        tokens = MarkdownIt("commonmark").parse(file.read_text("utf-8"))
        for opening, token in pairwise(tokens):
            if token.type != "inline":
                continue
            words = " ".join("".join(_shown(child.type, child.content) for child in token.children or ()).split())
            if opening.type == "heading_open" and opening.tag != "h1":
                headings[words] = None
            elif opening.type == "paragraph_open" and len(words) >= _FEWEST_CHARACTERS and "|" not in words:
                paragraphs[words] = None
    if len(paragraphs) < _FEWEST_PARAGRAPHS or not headings:
        raise WrongUsage(
            f"{organization} holds no sample organization to write documents from; run this where `examples/` is, or "
            "name a folder of documents with --folder."
        )
    return list(headings), list(paragraphs)


def _shown(kind: str, content: str) -> str:
    return " " if kind in ("softbreak", "hardbreak") else content


def _text(choose: random.Random, number: int, headings: Sequence[str], paragraphs: Sequence[str]) -> Text:
    sections = []
    for _ in range(choose.randint(*SECTIONS)):
        chosen = tuple(choose.sample(paragraphs, choose.randint(*PARAGRAPHS)))
        extra = choose.randrange(LIST_EVERY)
        sentences = choose.choice(paragraphs).split(". ")
        items = tuple(f"{sentence} ({choose.randint(1, 900)})" for sentence in sentences) if extra == 0 else ()
        rows = tuple(_row(choose, line) for line in range(choose.randint(4, 9))) if extra == 1 else ()
        table = (_COLUMNS, *rows) if rows else ()
        sections.append(Section(choose.choice(headings), chosen, items, table))
    return Text(f"{choose.choice(headings)}, note {number}", tuple(sections))


def _row(choose: random.Random, line: int) -> tuple[str, ...]:
    return f"Position {line + 1}", f"{choose.randint(10, 99_999)} euros", f"day {choose.randint(1, 365)}"


def plain(text: Text) -> bytes:
    """A text file: headings on lines of their own."""
    lines = [text.title, ""]
    for section in text.sections:
        lines += [section.heading, ""]
        for paragraph in section.paragraphs:
            lines += [paragraph, ""]
        lines += [*(f"- {item}" for item in section.items), *("  ".join(row) for row in section.rows), ""]
    return "\n".join(lines).encode()


def markdown(text: Text) -> bytes:
    """CommonMark with a table in GitHub's dialect."""
    lines = [f"# {text.title}", ""]
    for section in text.sections:
        lines += [f"## {section.heading}", ""]
        for paragraph in section.paragraphs:
            lines += [paragraph, ""]
        lines += [f"- {item}" for item in section.items]
        table = [f"| {' | '.join(row)} |" for row in section.rows]
        lines += [*table[:1], *(["| --- | --- | --- |"] if table else []), *table[1:], ""]
    return "\n".join(lines).encode()


def page(text: Text) -> bytes:
    """A page of an intranet, with a navigation and a footer around it."""
    body = [f"<h1>{html.escape(text.title)}</h1>"]
    for section in text.sections:
        body.append(f"<h2>{html.escape(section.heading)}</h2>")
        body += [f"<p>{html.escape(paragraph)}</p>" for paragraph in section.paragraphs]
        if section.items:
            body.append(f"<ul>{''.join(f'<li>{html.escape(item)}</li>' for item in section.items)}</ul>")
        if section.rows:
            rows = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in section.rows)
            body.append(f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>")
    head = f'<head><meta charset="utf-8"><title>{html.escape(text.title)}</title></head>'
    navigation = '<nav><a href="/">Start</a> <a href="/people">People</a></nav>'
    main = "\n".join(["<main>", *body, "</main>"])
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n{head}\n<body>\n{navigation}\n{main}\n'
        "<footer>The intranet</footer>\n</body>\n</html>\n"
    ).encode()


def word(text: Text) -> bytes:
    """A Word file with heading styles, bullets and tables."""
    document = docx.Document()
    document.core_properties.title = text.title
    document.add_heading(text.title, level=1)
    for section in text.sections:
        document.add_heading(section.heading, level=2)
        for paragraph in section.paragraphs:
            document.add_paragraph(paragraph)
        for item in section.items:
            document.add_paragraph(item, style="List Bullet")
        if section.rows:
            table = document.add_table(rows=0, cols=len(section.rows[0]), style="Table Grid")
            for row in section.rows:
                for cell, words in zip(table.add_row().cells, row, strict=True):
                    cell.text = words
    written, timeless = io.BytesIO(), io.BytesIO()
    document.save(written)
    with zipfile.ZipFile(written) as old, zipfile.ZipFile(timeless, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(zipfile.ZipInfo(entry.filename, _EPOCH), old.read(entry), zipfile.ZIP_DEFLATED)
    return timeless.getvalue()


def portable(text: Text) -> bytes:
    """A PDF (ISO 32000-1) with text in the standard fonts, which every reader has: lines of even length, A4."""
    pages = list(_pages(list(_pdf_lines(text))))
    kids = " ".join(f"{5 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    ]
    fonts = "<< /Font << /F1 3 0 R /F2 4 0 R >> >>"
    for number, content in enumerate(pages):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources {fonts} /Contents {6 + 2 * number} 0 R >>"
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("cp1252")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    out += (
        f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n"
        f"<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    ).encode()
    return bytes(out)


_Line = tuple[str, str, int]
"""A font, words, and the points down to the next line."""


def _pdf_lines(text: Text) -> Iterator[_Line]:
    yield "/F2 16 Tf", text.title, 26
    for section in text.sections:
        yield "/F2 13 Tf", section.heading, 20
        for words in (*section.paragraphs, *(f"\N{BULLET} {item}" for item in section.items)):
            *lines, last = textwrap.wrap(words, _PDF_COLUMNS)
            yield from (("/F1 10 Tf", line, 13) for line in lines)
            yield "/F1 10 Tf", last, 22
        yield from (("/F1 10 Tf", "      ".join(row), 15) for row in section.rows)


def _pages(lines: Sequence[_Line]) -> Iterator[str]:
    for at in range(0, len(lines), _PDF_LINES):
        drawn = []
        for font, words, down in lines[at : at + _PDF_LINES]:
            shown = words.encode("cp1252", "replace").decode("cp1252")
            for special in "\\()":
                shown = shown.replace(special, f"\\{special}")
            drawn.append(f"{font} ({shown}) Tj 0 -{down} Td")
        yield "\n".join(["BT 60 790 Td", *drawn, "ET"])


FORMATS: dict[str, Callable[[Text], bytes]] = {
    ".md": markdown,
    ".html": page,
    ".txt": plain,
    ".pdf": portable,
    ".docx": word,
}
"""The formats that every peer reads, by their suffix."""
