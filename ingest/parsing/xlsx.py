"""Excel workbooks (ECMA-376): each visible sheet a heading, and its tables as a reader sees their values."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from core.documents import BlockKind, Parsed
from ingest.parsing.assembly import Assembly, sensible_title, table_row
from ingest.parsing.detection import XLSX
from ingest.parsing.number_formats import shown
from ingest.parsing.office_package import DAMAGE, damaged, vetted_package
from ingest.parsing.pictures import PictureReader, packed_picture
from ingest.parsing.sheets import CellBudget, Row, add_sheet
from ingest.parsing.xlsx_extras import SheetExtras, sheet_extras


def parse_xlsx(data: bytes) -> Parsed:
    """Sheets in their order, their tables as `add_sheet` cuts them, values in their number formats.

    Formulas give the values that were last computed. A sheet's charts, as tables, the comments on its cells and the
    text of its pictures follow them; `unread` tells of pictures that were not looked at. Hidden sheets, macros and
    links to other workbooks are left alone.
    Raises `UnreadableDocument`: "hostile", "encrypted", "malformed", "too_large", "empty".
    """
    assembly, budget, pictures = Assembly(), CellBudget(), PictureReader()
    try:
        package = vetted_package(data)
        archive = zipfile.ZipFile(io.BytesIO(package))
        extras = sheet_extras(archive)
        workbook = openpyxl.load_workbook(io.BytesIO(package), read_only=True, data_only=True, keep_links=False)
        # Workbooks hold sheets of nothing but a chart beside those of cells.
        for sheet in map(workbook.__getitem__, workbook.sheetnames):
            if sheet.sheet_state != "visible":
                continue
            rows = _rows(sheet) if isinstance(sheet, ReadOnlyWorksheet) else ()
            begun = len(assembly.blocks)
            add_sheet(assembly, sheet.title, rows, budget)
            if sheet.title in extras:
                found = extras[sheet.title]
                shown = [text for part in found.pictures for text in pictures.texts(packed_picture(archive, part))]
                if len(assembly.blocks) == begun and (found.charts or found.comments or shown):
                    assembly.add(BlockKind.HEADING, sheet.title, level=1)
                _add_extras(assembly, found, shown)
    except (*DAMAGE, InvalidFileException, TypeError, AttributeError, IndexError) as error:
        raise damaged("Excel workbook", "Excel", error) from error
    parsed = assembly.parsed(XLSX, title=sensible_title(workbook.properties.title or ""))
    return replace(parsed, unread=pictures.cause())


def _add_extras(assembly: Assembly, extras: SheetExtras, shown: list[str]) -> None:
    for chart in extras.charts:
        assembly.add(BlockKind.PARAGRAPH, chart.title)
        assembly.add(BlockKind.TABLE, "\n".join(filter(None, map(table_row, chart.rows))))
    for comment in extras.comments:
        assembly.add(BlockKind.LIST_ITEM, comment)
    for text in shown:
        assembly.add(BlockKind.IMAGE_TEXT, text)


def _rows(sheet: ReadOnlyWorksheet) -> Iterator[Row]:
    # What the file claims about its size is not believed: it may claim every cell that Excel has.
    sheet.reset_dimensions()
    for cells in sheet.rows:
        yield ["" if cell.value is None else shown(cell.value, cell.number_format).strip() for cell in cells]
