"""Spreadsheets as headings and tables, whatever format their cells come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from core.documents import BlockKind
from core.errors import UnreadableDocument
from ingest.parsing.assembly import Assembly, table_row

CELLS = 2_000_000
"""Cells with a value that are read of one document."""
ROWS = 1_048_576
"""The last row that Excel has; a sheet that claims more would have us walk through nothing."""
_LONG_CELL_CHARACTERS = 200

Row = list[str]


@dataclass
class CellBudget:
    """What is left of a document's `CELLS`."""

    left: int = CELLS

    def spend(self, row: Row) -> None:
        """Account for a row's cells with a value; raises `UnreadableDocument("too_large")`."""
        self.left -= sum(map(bool, row))
        if self.left < 0:
            raise UnreadableDocument(
                "too_large", f"The document holds more than {CELLS:,} cells; split it, or export its tables as CSV."
            )


def add_sheet(assembly: Assembly, name: str, rows: Iterable[Row], budget: CellBudget) -> None:
    """Add a sheet that holds anything: its name as a heading, then its tables.

    Rows with no empty row between them are one table, whose first row is the header that every chunk of it carries.
    A table's empty columns are left out, and lines of one cell above its header stand before it.
    Raises `UnreadableDocument`: "too_large" over the budget, "hostile" for more than `ROWS`.
    """
    tables = list(_tables(rows, budget))
    if tables:
        assembly.add(BlockKind.HEADING, name, level=1)
    for table in tables:
        _add_table(assembly, table)


def _add_table(assembly: Assembly, rows: list[Row]) -> None:
    used = sorted({column for row in rows for column, cell in enumerate(row) if cell})
    rows = [[row[column] for column in used if column < len(row)] for row in rows]
    if len(used) == 1 and (len(rows) == 1 or max(len(row[0]) for row in rows) > _LONG_CELL_CHARACTERS):
        for row in rows:
            assembly.add(BlockKind.PARAGRAPH, row[0])
        return
    while len(used) > 1 and len(rows) > 1 and sum(map(bool, rows[0])) == 1:
        assembly.add(BlockKind.PARAGRAPH, "".join(rows.pop(0)))
    assembly.add(BlockKind.TABLE, "\n".join(table_row(row) for row in rows))


def _tables(rows: Iterable[Row], budget: CellBudget) -> Iterator[list[Row]]:
    """Runs of rows with no empty row between them; each row ends with its last value."""
    table: list[Row] = []
    for number, row in enumerate(rows):
        if number >= ROWS:
            raise UnreadableDocument("hostile", f"A sheet claims more than the {ROWS:,} rows that Excel has.")
        budget.spend(row)
        while row and not row[-1]:
            row.pop()
        if row:
            table.append(row)
        elif table:
            yield table
            table = []
    if table:
        yield table
