"""A set's documents, brought into a home of their own by the ingestion that everybody uses."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from core.documents import BlockKind, Parsed, content_hash
from core.principals import parse_principal
from core.settings import Settings
from evaluation.progress import following_ingest, warn
from evaluation.sets import QuestionSet, SetDocument
from governance.access.rules import AccessLists, Decision
from ingest.items import Item, Listing
from ingest.ledger import Ledger
from ingest.parsing.assembly import Assembly, short_title
from ingest.pipeline import Parser
from ingest.report import IngestReport
from wiring.home import Home
from wiring.lifecycle import init_home, open_home

ASKER = parse_principal("user:evaluation")
"""Who asks every question of an evaluation, and the only one who may read its documents."""

_PARAGRAPHS = re.compile(r"\n[^\S\n]*\n\s*")


@contextmanager
def ingested(questions: QuestionSet, settings: Settings, keep: Path | None) -> Iterator[tuple[Home, IngestReport]]:
    """A home that holds the set's documents and nothing else, on SQLite; removed afterwards unless `keep` names it.

    A document that cannot be read is named on standard error and left out. Raises `Conflict` if `keep` is a home.
    """
    with tempfile.TemporaryDirectory(prefix="footnote-eval-") as folder:
        home = keep or Path(folder) / "home"
        own = settings.model_copy(update={"home": home.absolute(), "database_url": None})
        init_home(own)
        with open_home(own) as opened:
            report = _ingest(opened, questions)
            for failure in report.failures:
                what = "is there in part" if failure.verdict == "partial" else f"is left out ({failure.verdict})"
                warn(f"{questions.name}: {failure.external_id} {what}: {failure.cause}")
            yield opened, report


@dataclass(frozen=True)
class CorpusRowParser:
    """Reads one row of `corpus.jsonl`: a title, the text's paragraphs as they are, and who wrote it, if stated."""

    def parse(self, data: bytes, name: str) -> Parsed:
        """Raises `UnreadableDocument("empty")` for a row without title and text."""
        row = json.loads(data)
        title, text = " ".join(str(row.get("title") or "").split()), str(row["text"])
        assembly = Assembly()
        # A title that is cut to fit above every chunk, or has nothing below it, is read as text too.
        if (short_title(title) != title and title not in text) or not text.strip():
            assembly.add(BlockKind.PARAGRAPH, title)
        for paragraph in _PARAGRAPHS.split(text):
            assembly.add(BlockKind.PARAGRAPH, paragraph)
        assembly.add(BlockKind.PARAGRAPH, str(row.get("author") or ""))
        return assembly.parsed("text/plain", title=title)

    def close(self) -> None: ...


@dataclass(frozen=True)
class _NamedFileParser:
    """Lets a parser know each file by its own name, whose suffix a set's id may lack.

    `file_names` are by the hash of a file's bytes; what a file carries keeps the name that it has there.
    """

    parser: Parser
    file_names: Mapping[str, str]

    def parse(self, data: bytes, name: str) -> Parsed:
        return self.parser.parse(data, self.file_names.get(content_hash(data), name))

    def close(self) -> None:
        self.parser.close()


def _ingest(home: Home, questions: QuestionSet) -> IngestReport:
    decision = Decision(AccessLists(frozenset({ASKER.grantee})), "evaluation")
    folder = questions.folder.resolve().as_uri()
    names: dict[str, str] = {}

    def load(one: SetDocument) -> bytes:
        data = one.load()
        names[content_hash(data)] = one.file_name
        return data

    items = [Item(one.id, f"{folder}#{one.id}", decision, partial(load, one)) for one in questions.documents]
    ledger = Ledger(home.catalog, questions.name, folder)
    ledger.register([ASKER.grantee], None)
    opened = home.ingestion.open_parser
    ingestion = replace(
        home.ingestion,
        open_parser=CorpusRowParser if questions.rows else lambda: _NamedFileParser(opened(), names),
    )
    with following_ingest(f"{questions.name}: documents") as progress:
        return ingestion.run(ledger, questions.name, Listing(items, lambda _: decision, complete=True), False, progress)
