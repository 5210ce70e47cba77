"""What a bench found: rows of figures, claims about them, and the machine they hold for."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from inference.processor import processor_flags, processor_model

Figure = float | int | str

TELLING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimd", "bf16", "i8mm")


@dataclass(frozen=True)
class Row:
    """One system's figures, each with its unit in its name; or why it could not run."""

    system: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Claim:
    """A promise in words, and the figure that keeps or breaks it."""

    claim: str
    value: float
    target: float
    holds: bool

    @classmethod
    def at_least(cls, claim: str, value: float, target: float) -> Claim:
        return cls(claim, value, target, value >= target)

    @classmethod
    def at_most(cls, claim: str, value: float, target: float) -> Claim:
        return cls(claim, value, target, value <= target)


@dataclass(frozen=True)
class Machine:
    """Where figures were measured; `flags` are the instruction sets that decide our speed."""

    cpu: str
    cores: int
    flags: tuple[str, ...]
    ram_gib: float
    python: str


@dataclass(frozen=True)
class BenchReport:
    """One bench, measured in one run on one machine."""

    bench: str
    machine: Machine
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]

    @property
    def holds(self) -> bool:
        """No claim is broken."""
        return all(claim.holds for claim in self.claims)

    def to_json(self) -> dict[str, Any]:
        """The document that `footnote bench --json` prints: figures and errors stand beside `system`."""
        return {
            "bench": self.bench,
            "machine": {**vars(self.machine), "flags": list(self.machine.flags)},
            "rows": [_row_to_json(row) for row in self.rows],
            "claims": [vars(claim) for claim in self.claims],
        }

    def print_to(self, console: Console) -> None:
        """The same for people: the figures as a table, or line by line where that is too wide, then each claim."""
        table = self._table()
        if Measurement.get(console, console.options.update(max_width=10_000), table).maximum <= console.width:
            console.print(table)
        else:
            self._print_lines(console)
        for claim in self.claims:
            verdict = "[green]holds[/]" if claim.holds else "[red]broken[/]"
            console.print(f"{claim.claim}: {claim.value:.3g} (target {claim.target:g}) {verdict}")

    def _table(self) -> Table:
        names = list(dict.fromkeys(name for row in self.rows for name in row.figures))
        table = Table("system", *names, title=self.bench, caption=self._machine())
        for row in self.rows:
            cells = [_cell(row.figures.get(name, "")) for name in names]
            table.add_row(_title(row), *cells)
        return table

    def _print_lines(self, console: Console) -> None:
        console.print(f"{self.bench}, on {self._machine()}", highlight=False)
        for row in self.rows:
            figures = ", ".join(f"{name} {_cell(figure)}" for name, figure in row.figures.items())
            console.print(f"[bold]{escape(_title(row))}[/] {escape(figures)}", highlight=False)

    def _machine(self) -> str:
        return f"{self.machine.cpu}, {self.machine.cores} cores, {self.machine.ram_gib:.0f} GiB"


def this_machine() -> Machine:
    """The machine this process runs on; `cores` are those it may use."""
    flags = processor_flags()
    return Machine(
        cpu=processor_model(),
        cores=len(os.sched_getaffinity(0)),
        flags=tuple(flag for flag in TELLING_FLAGS if flag in flags),
        ram_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        python=platform.python_version(),
    )


def _row_to_json(row: Row) -> dict[str, Figure]:
    return {"system": row.system, **({"error": row.error} if row.error is not None else row.figures)}


def _title(row: Row) -> str:
    return row.system if row.error is None else f"{row.system}: {row.error}"


def _cell(figure: Figure) -> str:
    return f"{figure:.5g}" if isinstance(figure, float) else str(figure)
