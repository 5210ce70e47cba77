"""A small folder to bring in, and the words to do it with."""

from __future__ import annotations

from pathlib import Path

from core.principals import Grantee, parse_grantee, parse_principal
from ingest.report import IngestReport
from ingest.sync import FolderRequest, Prune, sync_folder
from wiring.home import Home

ANA = parse_principal("user:ana")
BEN = parse_principal("user:ben")

FILES = {
    "handbook/leave.md": "# Leave\n\nEverybody has thirty days of annual leave.\n",
    "handbook/travel.txt": "Trains are preferred to planes on journeys of less than five hours.\n",
    "legal/nda.md": "# NDA\n\n## Term\n\nThe agreement runs for three years.\n",
    "finance/budget.csv": "team,budget\nplatform,90000\nfirmware,120000\n",
}


def write_files(folder: Path, files: dict[str, str] = FILES) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def bring_in(
    home: Home, folder: Path, *, allow: tuple[str, ...] | None = ("everyone",), prune: Prune = "no", source: str = "org"
) -> IngestReport:
    names: tuple[Grantee, ...] | None = tuple(parse_grantee(name) for name in allow) if allow is not None else None
    request = FolderRequest(folder, source, names, None, prune)
    return sync_folder(home.ingestion, home.layout.folder, request, 10_000_000, lambda *_: None)


def counts(report: IngestReport) -> dict[str, int]:
    """The counts that are not zero."""
    return {name: count for name, count in report.to_json()["documents"].items() if count}


def found(home: Home, query: str, k: int = 10) -> list[str]:
    """The external ids of the hits of a search as ana, best first."""
    return [hit.passage.external_id for hit in home.searcher.search(query, ANA, k).hits]
