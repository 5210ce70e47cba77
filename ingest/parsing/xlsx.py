"""Excel workbooks (ECMA-376): each visible sheet a heading, and its tables as a reader sees their values."""

from __future__ import annotations

import io
from collections.abc import Iterator

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from core.documents import Parsed
from ingest.parsing.assembly import Assembly, sensible_title
from ingest.parsing.detection import XLSX
from ingest.parsing.number_formats import shown
from ingest.parsing.office_package import DAMAGE, damaged, vetted_package
from ingest.parsing.sheets import CellBudget, Row, add_sheet


def parse_xlsx(data: bytes) -> Parsed:
    """Sheets in their order, their tables as `add_sheet` cuts them, values in their number formats.

    Formulas give the values that were last computed. Hidden sheets, macros and links to other workbooks are left
    alone. Raises `UnreadableDocument`: "hostile", "encrypted", "malformed", "too_large", "empty".
    """
    assembly, budget = Assembly(), CellBudget()
    try:
        package = io.BytesIO(vetted_package(data))
        workbook = openpyxl.load_workbook(package, read_only=True, data_only=True, keep_links=False)
        for sheet in workbook.worksheets:
            if sheet.sheet_state == "visible":
                add_sheet(assembly, sheet.title, _rows(sheet), budget)
    except (*DAMAGE, InvalidFileException, TypeError, AttributeError, IndexError) as error:
        raise damaged("Excel workbook", "Excel", error) from error
    return assembly.parsed(XLSX, title=sensible_title(workbook.properties.title or ""))


def _rows(sheet: ReadOnlyWorksheet) -> Iterator[Row]:
    # What the file claims about its size is not believed: it may claim every cell that Excel has.
    sheet.reset_dimensions()
    for cells in sheet.rows:
        yield ["" if cell.value is None else shown(cell.value, cell.number_format).strip() for cell in cells]
