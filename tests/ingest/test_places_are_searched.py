"""A document is found by the words of its path and its file name, where they stand now."""

from __future__ import annotations

from pathlib import Path

from organization import bring_in, found, write_files

from governance.searchable import about_text
from retrieval.analysis import query_terms
from retrieval.lexical import frequencies
from wiring.home import Home


def chunks_with(home: Home, word: str) -> int:
    """How many chunks the lexical index finds by a word."""
    snapshot = home.index_reader.snapshot()
    return frequencies(snapshot.select(snapshot.rows()), [term for term, _ in query_terms(word, "en")][:1])[0]


def test_a_document_is_found_by_its_path_and_after_it_has_moved_by_the_new_one(home: Home, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "org")
    bring_in(home, folder)
    assert chunks_with(home, "finance") == chunks_with(home, "budget") == 1
    assert found(home, "finance handbook budget")[0] == "finance/budget.csv"

    (folder / "treasury").mkdir()
    (folder / "finance/budget.csv").rename(folder / "treasury/money.csv")
    assert bring_in(home, folder).moved == 1

    assert (chunks_with(home, "treasury"), chunks_with(home, "money"), chunks_with(home, "finance")) == (1, 1, 0)
    assert home.publisher.repair() == 0


def test_a_report_is_found_by_the_quarter_in_its_file_s_name(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    for name in ("2023 Q1", "2023 Q2", "2022 Q4"):
        (folder / f"{name} ACME.md").write_text("# Quarterly report\n\nThe gross margin fell as costs rose.\n")
    bring_in(home, folder)

    assert found(home, "gross margin in the second quarter of 2023")[0] == "2023 Q2 ACME.md"
    assert found(home, "gross margin in Q4 2022")[0] == "2022 Q4 ACME.md"
    assert found(home, "gross margin in the latest report")[0] == "2023 Q2 ACME.md"


def test_a_title_is_masked_here_too_and_an_id_says_nothing() -> None:
    assert about_text("Leave", ["Term"], "hr/leave.md") == "Leave\nTerm\nhr/leave.md"
    assert about_text("Leave", [], "1f4e9a7c") == "Leave"
    assert "4111" not in about_text("Card 4111 1111 1111 1111", [], "cards/one.pdf")
