"""What somebody may not read changes nothing they see: not a score, not an order, not a word of an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from living_home import HomeTemplate, LivingHome

from core.errors import NotFound
from core.principals import parse_principal
from retrieval.filters import NO_FILTERS, Filters

ANA, BEN = parse_principal("user:ana"), parse_principal("user:ben")
TERMS = ("merger", "lawsuit", "layoffs", "acquisition", "holidays", "canteen")
QUERIES = (*TERMS, "the canteen serves holidays", "merger lawsuit layoffs", "who decides about the canteen")


def organization(folder: Path, secrets: int) -> Path:
    """Six documents for everybody and, among them by name, `secrets` for Ana alone, of other words and lengths."""
    folder.mkdir()
    for number in range(6):
        words = f"The canteen serves lunch number {number}. Holidays are decided by committee {number}. "
        (folder / f"{number}-open.md").write_text(f"# Note {number}\n\n{words * (1 + number % 3)}")
    for number in range(secrets):
        words = f"The {TERMS[number % 4]} of the canteen is {'very ' * (number * 7)}secret. "
        (folder / f"{number % 6}-secret-{number}.md").write_text(f"# Secret {number}\n\n{words * (1 + number % 5)}")
    (folder / "access.yaml").write_text(
        'default: {allow: ["everyone"]}\nrules: [{path: "*-secret-*", allow: ["user:ana"]}]'
    )
    return folder


def seen(home: LivingHome, query: str, k: int, filters: Filters) -> list[tuple[int, float, str, str]]:
    """Everything a ranking tells Ben, but for ids, which are random."""
    hits = home.searcher.search(query, BEN, k, filters).hits
    return [(hit.rank, hit.score, hit.passage.external_id, hit.passage.text) for hit in hits]


def told(home: LivingHome, query: str) -> tuple[str, list[float], list[str]]:
    """Everything an answer tells Ben, but for ids."""
    answer = home.ask.ask(f"What about {query}?", BEN, "test")
    return answer.text, [claim.support for claim in answer.claims], [near.external_id for near in answer.nearest]


def test_scores_and_order_are_the_same_with_and_without_hidden_documents(
    template: HomeTemplate, living: LivingHome, tmp_path: Path
) -> None:
    """The STRESS attack recovers hidden words from changes of scores: there are none."""
    living.sync(organization(tmp_path / "with", secrets=24))
    (tmp_path / "other").mkdir()
    settings = template.copy(tmp_path / "other")
    with LivingHome(settings) as other:
        other.sync(organization(tmp_path / "without", secrets=0))
        for query in QUERIES:
            for k, filters in ((3, NO_FILTERS), (100, NO_FILTERS), (4, Filters(media_types=("text/markdown",)))):
                assert seen(living, query, k, filters) == seen(other, query, k, filters)
            assert told(living, query) == told(other, query)
        assert any("secret" in hit.passage.external_id for hit in living.searcher.search("merger", ANA, 5).hits)
    template.drop(settings)


def test_denied_and_absent_are_told_in_the_same_words(living: LivingHome, tmp_path: Path) -> None:
    living.sync(organization(tmp_path / "org", secrets=1))
    hidden = next(view.document_id for view in living.gate.documents(ANA) if "secret" in view.external_id)
    absent = "0" * 32
    doors: list[Callable[[str], object]] = [
        lambda document_id: living.disclosure.text(BEN, document_id, "test"),
        lambda document_id: living.disclosure.content(BEN, document_id, "test"),
        lambda document_id: living.gate.document(BEN, document_id),
    ]

    for door in doors:
        told = []
        for document_id in (hidden, absent):
            with pytest.raises(NotFound) as refused:
                door(document_id)
            told.append(str(refused.value).replace(document_id, "ID"))
        assert told[0] == told[1]
    results = [living.searcher.search("merger", BEN, 5, Filters(document_ids=(one,))) for one in (hidden, absent)]
    assert results[0].hits == results[1].hits == ()
    told_of_both = [
        replace(living.ask.ask("What of it?", BEN, "test", Filters(document_ids=(one,))), audit_id="", timings_ms={})
        for one in (hidden, absent)
    ]
    assert told_of_both[0] == told_of_both[1]
