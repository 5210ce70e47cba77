"""Markdown in; an intranet page, a Word file or a PDF out, the same bytes every time."""

from __future__ import annotations

import html
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import docx
from markdown_it import MarkdownIt
from markdown_it.token import Token

# The earliest date that a ZIP entry can carry, so that a Word file does not tell when it was built.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
WRITTEN = datetime(2026, 9, 1)  # noqa: DTZ001 - python-docx wants a naive date
AUTHOR = "Tarnbeck Instruments"


@dataclass(frozen=True)
class Part:
    """One heading (`level` 1 to 6), paragraph, list item or table of a document, as plain text."""

    kind: str
    text: str = ""
    level: int = 0
    rows: tuple[tuple[str, ...], ...] = ()


def markdown() -> MarkdownIt:
    """CommonMark and its table extension."""
    return MarkdownIt("commonmark").enable("table")


def parts(source: str) -> Iterator[Part]:
    """The parts of a Markdown text, in reading order."""
    tokens = markdown().parse(source)
    table: list[list[str]] | None = None
    for index, token in enumerate(tokens):
        if token.type == "table_open":
            table = []
        elif token.type == "tr_open" and table is not None:
            table.append([])
        elif token.type == "table_close" and table is not None:
            yield Part("table", rows=tuple(tuple(row) for row in table))
            table = None
        elif token.type == "inline" and table is not None:
            table[-1].append(plain(token))
        elif token.type == "inline":
            yield text_part(tokens[: index + 1])


def text_part(tokens: list[Token]) -> Part:
    """What the last of `tokens`, an inline one, is: told by the tokens that opened around it."""
    opening, text = tokens[-2], plain(tokens[-1])
    if opening.type == "heading_open":
        return Part("heading", text, level=int(opening.tag[1]))
    in_list = sum(token.nesting for token in tokens if token.type.startswith("list_item"))
    return Part("item" if in_list else "paragraph", text)


def plain(token: Token) -> str:
    """An inline token's text without its marks."""
    return "".join(" " if child.type == "softbreak" else child.content for child in token.children or ())


def render_html(source: str) -> bytes:
    """A page of the intranet, with the navigation and footer that such pages have."""
    title = next(part.text for part in parts(source) if part.kind == "heading")
    page = f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{html.escape(title)}</title></head>
<body>
<nav><a href="/">Beckside</a> <a href="/departments">Departments</a> <a href="/people">People</a></nav>
<main>
{markdown().render(source)}</main>
<footer>Beckside, the intranet of Tarnbeck Instruments</footer>
</body>
</html>
"""
    return page.encode()


def render_docx(source: str) -> bytes:
    """A Word file with heading styles, bullets and tables."""
    document = docx.Document()
    properties = document.core_properties
    properties.author, properties.created, properties.modified = AUTHOR, WRITTEN, WRITTEN
    for part in parts(source):
        if part.kind == "heading":
            document.add_heading(part.text, level=part.level)
            properties.title = properties.title or part.text
        elif part.kind == "table":
            table = document.add_table(rows=0, cols=len(part.rows[0]), style="Table Grid")
            for row in part.rows:
                for cell, text in zip(table.add_row().cells, row, strict=True):
                    cell.text = text
        else:
            document.add_paragraph(part.text, style="List Bullet" if part.kind == "item" else None)
    written = io.BytesIO()
    document.save(written)
    return without_times(written.getvalue())


def without_times(archive: bytes) -> bytes:
    """The same ZIP archive with every entry dated `ZIP_EPOCH`."""
    timeless = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(timeless, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(zipfile.ZipInfo(entry.filename, ZIP_EPOCH), old.read(entry), zipfile.ZIP_DEFLATED)
    return timeless.getvalue()


def render_pdf(source: str) -> bytes:
    """A PDF on A4 with text that can be selected and page numbers at the foot; needs reportlab."""
    from reportlab.lib import colors  # type: ignore[import-untyped]
    from reportlab.lib.pagesizes import A4  # type: ignore[import-untyped]
    from reportlab.lib.styles import getSampleStyleSheet  # type: ignore[import-untyped]
    from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table  # type: ignore[import-untyped]

    styles = getSampleStyleSheet()
    grid = [("GRID", (0, 0), (-1, -1), 0.5, colors.grey), ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke)]

    def flowable(part: Part) -> Flowable:
        if part.kind == "heading":
            return Paragraph(html.escape(part.text), styles[f"Heading{part.level}"])
        if part.kind == "table":
            return Table(
                [[Paragraph(html.escape(cell), styles["BodyText"]) for cell in row] for row in part.rows], style=grid
            )
        bullet = "\N{BULLET}" if part.kind == "item" else None
        return Paragraph(html.escape(part.text), styles["BodyText"], bulletText=bullet)

    def number(canvas: object, template: object) -> None:
        canvas.drawCentredString(A4[0] / 2, 30, f"{AUTHOR} · page {template.page}")  # type: ignore[attr-defined]

    story: list[Flowable] = []
    for part in parts(source):
        story += [flowable(part), Spacer(1, 4)]
    written = io.BytesIO()
    # `invariant` leaves out the time of writing.
    template = SimpleDocTemplate(
        written, pagesize=A4, invariant=1, title=next(parts(source)).text, author=AUTHOR, pageCompression=1
    )
    template.build(story, onFirstPage=number, onLaterPages=number)
    return written.getvalue()


RENDERERS: dict[str, Callable[[str], bytes]] = {".html": render_html, ".docx": render_docx, ".pdf": render_pdf}
