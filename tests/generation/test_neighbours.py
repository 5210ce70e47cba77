"""What stands beside a passage is read with it: cited at its own place, on record, and only by who may read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from apps.administration import Administration
from core.answers import Mode, Passage
from core.principals import parse_grantee, parse_principal
from generation.answerer import Draft, DraftSentence, Writing
from governance.audit import Kind
from governance.identity import ADMINISTRATOR
from ingest.sync import FolderRequest, sync_folder
from retrieval.neighbours import Neighbours
from wiring.home import Home

ANA, BEN = parse_principal("user:ana"), parse_principal("user:ben")
FILLER = "The workshop keeps oil, rags and spare belts on the lower shelf, and whoever takes the last one orders more. "
PARTS = [
    f"## Starting the lathe\n\nTo start the lathe, take these steps in their order:\n\n{FILLER * 9}",
    f"## Part two\n\nClose the guard, release the brake and press the green button twice. {FILLER * 9}",
    f"## Part three\n\nEverything after that is described elsewhere. {FILLER * 9}",
    f"## Part four\n\nThe rest is silence. {FILLER * 9}",
]


@pytest.fixture
def shelved(home: Home, tmp_path: Path) -> Home:
    """A document of several passages and another beside it, which everybody may read."""
    folder = tmp_path / "org"
    folder.mkdir()
    (folder / "lathe.md").write_text("# Lathe\n\n" + "\n\n".join(PARTS))
    (folder / "next.md").write_text("# Next\n\nAnother document altogether.\n")
    (folder / "access.yaml").write_text('default: {allow: ["everyone"]}\n')
    request = FolderRequest(folder, "org", None, None, "no")
    assert not sync_folder(home.ingestion, home.layout.folder, request, 10_000_000, lambda *_: None).failures
    return home


class QuotingTheLast:
    """Writes the first sentence of the last passage that it is given, as a model may."""

    mode: Mode = "vllm"
    model = "quoting"

    def draft(self, question: str, passages: Sequence[Passage], writing: Writing) -> Iterator[Draft]:
        yield DraftSentence(f"{passages[-1].text.split('. ')[0]} [{len(passages)}].")


def beside(home: Home, passages: int = 1) -> Neighbours:
    return Neighbours(home.catalog, home.gate, passages)


def test_the_passages_before_and_after_are_read_and_no_other_documents(shelved: Home) -> None:
    rows = sorted(
        (hit.passage.start, hit.passage.row, hit)
        for hit in shelved.searcher.search("lathe", ANA, 50).hits
        if hit.passage.external_id == "lathe.md"
    )
    found = shelved.searcher.search("lathe", ANA, 1)
    assert len(rows) >= 4

    for place, (_, row, hit) in enumerate(rows):
        read = beside(shelved).read_with(replace(found, hits=(hit,)))
        wanted = [rows[near][1] for near in (place - 1, place + 1) if 0 <= near < len(rows)]
        assert [one.passage.row for one in read.hits] == [row, *wanted]
        assert [one.rank for one in read.hits[1:]] == list(range(2, len(wanted) + 2))
        assert {one.score for one in read.hits[1:]} == {0.0}
    everything = replace(found, hits=tuple(hit for *_, hit in rows))
    assert beside(shelved, 50).read_with(everything).hits == everything.hits, "what was found is not read twice"
    assert beside(shelved, 1).read_with(replace(found, hits=())).hits == ()


def test_who_may_no_longer_read_the_document_reads_no_neighbour_of_what_was_found(shelved: Home) -> None:
    """Each is looked up for whoever asks, at that moment."""
    ana, ben = (shelved.searcher.search("start the lathe", who, 1) for who in (ANA, BEN))
    Administration(shelved, ADMINISTRATOR, "test").revoke(parse_grantee("user:ben"), "lathe.md")

    assert len(beside(shelved).read_with(ana).hits) > 1
    assert beside(shelved).read_with(ben).hits == ben.hits


def test_an_answer_from_a_neighbour_is_cited_where_it_stands_and_is_on_record(shelved: Home) -> None:
    question = "Which steps start the lathe, in their order?"
    first = shelved.searcher.search(question, ANA, 1).hits[0].passage
    service = replace(shelved.ask, passages=1, neighbours=beside(shelved), answerer=QuotingTheLast())

    answer = service.ask(question, ANA, "test")
    _, text = shelved.gate.text(ANA, first.document_id)

    assert all(text[one.start : one.end] == one.quote for one in answer.citations)
    evidence = shelved.audit_reader.newest(kind=Kind.EVIDENCE, limit=1)[0].content
    assert evidence is not None
    recorded = [(chunk["start"], chunk["end"]) for chunk in evidence["chunks"]]
    assert recorded[0] == (first.start, first.end)
    assert len(recorded) > 1
    for one in answer.citations:
        assert any(start <= one.start and one.end <= end for start, end in recorded)
    assert answer.citations
    assert all(not first.start <= one.start < first.end for one in answer.citations), "quoted from beside the passage"


def test_nothing_is_read_beside_unless_the_operator_says_so(shelved: Home) -> None:
    assert shelved.ask.neighbours is None
    shelved.settings = shelved.settings.model_copy(update={"context_neighbours": 3})
    del shelved.ask

    assert shelved.ask.neighbours == Neighbours(shelved.catalog, shelved.gate, 3)
