"""A document of which something could not be read is found by the rest of it, and named among the failures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from organization import ANA, counts, found

from core.documents import Parsed
from core.principals import parse_grantee
from governance.access.rules import AccessLists, Decision
from ingest.items import Item
from ingest.ledger import Ledger
from ingest.parsing.markdown import parse_markdown
from ingest.parsing.wire import LENGTHS, parsed_frame, read_reply
from ingest.report import IngestReport
from ingest.single import make_current, read_in
from ingest.sync import FolderRequest, sync_folder
from wiring.home import Home

CAUSE = "Page 2 is scanned and could not be recognized in the time of one document; run OCR on the PDF first."
TEXT = b"# Ferries\n\nThe ferry leaves from the northern pier.\n"


class HalfBlind:
    """A parser that reads everything but says, of a file named so, that it has not."""

    def parse(self, data: bytes, name: str) -> Parsed:
        return replace(parse_markdown(data), unread=CAUSE if name == "half.md" else "")

    def close(self) -> None: ...


def bring_in(home: Home, folder: Path) -> IngestReport:
    ingestion = replace(home.ingestion, open_parser=HalfBlind)
    request = FolderRequest(folder, "org", (parse_grantee("everyone"),), None, "no")
    return sync_folder(ingestion, home.layout.folder, request, 10_000_000, lambda *_: None)


def named(report: IngestReport) -> list[tuple[str, str, str]]:
    return [(failure.external_id, failure.verdict, failure.cause) for failure in report.failures]


def test_it_is_found_and_named_in_every_run_until_it_is_whole(home: Home, tmp_path: Path) -> None:
    (tmp_path / "half.md").write_bytes(TEXT)
    (tmp_path / "whole.md").write_bytes(b"# Buses\n\nThe bus leaves from the square.\n")

    first = bring_in(home, tmp_path)
    again = bring_in(home, tmp_path)

    assert (counts(first), counts(again)) == ({"added": 2}, {"unchanged": 2})
    assert named(first) == named(again) == [("half.md", "partial", CAUSE)]
    assert found(home, "northern pier ferry")[0] == "half.md"
    known = Ledger(home.catalog, "org", "file:///").known()["half.md"]
    assert (known.state, known.failure_verdict, known.failure_cause) == ("ready", "partial", CAUSE)

    (tmp_path / "half.md").rename(tmp_path / "now.md")
    (tmp_path / "now.md").write_bytes(TEXT + b"\nIt is whole now.\n")
    assert named(bring_in(home, tmp_path)) == []


def test_a_worker_brings_it_in_and_does_not_call_it_failed(home: Home) -> None:
    ledger = Ledger(home.catalog, "org", "upload:")
    ledger.register((), None)
    decision = Decision(AccessLists((parse_grantee("everyone"),)), "upload")
    item = Item("half.md", "upload:half.md", decision, lambda: TEXT)

    for _ in range(2):
        prepared = read_in(home.ingestion, HalfBlind(), ledger, item)
        make_current(home.ingestion, ledger, [prepared] if prepared else [])

    assert home.gate.text(ANA, ledger.known()["half.md"].document_id)[1].endswith("northern pier.")
    assert ledger.known()["half.md"].failure_verdict == "partial"


def test_what_could_not_be_read_crosses_the_wall_of_the_sandbox() -> None:
    assert (_through_the_wire(""), _through_the_wire(CAUSE)) == ("", CAUSE)
    assert len(_through_the_wire("x" * 5_000)) == 1_000


def _through_the_wire(unread: str) -> str:
    head, body = parsed_frame(replace(parse_markdown(TEXT), unread=unread))
    return read_reply(head[LENGTHS.size :], body).unread
