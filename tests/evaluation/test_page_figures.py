"""Questions over PDFs: whether the page that is named is the one on which the answer's amounts are printed."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from core.answers import Passage
from core.settings import Settings
from evaluation import pages
from evaluation.run import EvalOptions, evaluate
from evaluation.sets import Question

OPTIONS = EvalOptions(Settings(embedding_model="hashing"), retrieval_only=True)
TEXTS = ("The harbour authority has published its report.", "The quay of the harbour cost 82,959 euros in all.")


def report() -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out)
    for text in TEXTS:
        canvas.drawString(72, 700, text)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "report.pdf").write_bytes(report())
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"id": "report", "file": "report.pdf", "format": "pdf"}))
    questions = [("q1", "What did the quay cost?", "It cost $82,959."), ("q2", "What does it say?", "In 2023 little.")]
    rows = [json.dumps({"id": one, "text": text, "answers": [answer]}) for one, text, answer in questions]
    (tmp_path / "queries.jsonl").write_text("\n".join(rows))
    (tmp_path / "qrels.tsv").write_text("query_id\tdoc_id\tgrade\nq1\treport\t1\nq2\treport\t1\n")
    return tmp_path


def test_the_page_of_a_passage_is_the_page_on_which_the_answers_amount_is_printed(folder: Path) -> None:
    figures = evaluate(folder, OPTIONS)["pages"]
    assert figures == {"passages": 4, "right_pages": 1.0, "questions": 1, "evidence_page@10": 1.0, "cell@10": 1.0}


def test_a_page_that_is_named_wrongly_counts_against_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = pages._stands_there
    monkeypatch.setattr(pages, "_stands_there", lambda one, texts: told(replace(one, page=3 - (one.page or 0)), texts))
    assert evaluate(folder, OPTIONS)["pages"]["right_pages"] == 0.0


def test_a_passage_without_a_page_stands_nowhere() -> None:
    passage = Passage(1, "c", "d", 1, "s", "e", "file:///e", "t", (), None, 0, 3, "The", "en")
    assert not pages._stands_there(passage, ["The page"])


def test_only_relevant_documents_hold_evidence_and_years_are_no_amounts() -> None:
    question = Question("q", "How much in 2023?", ("82,959 in 2023",))
    printed = {"a": ["2023", "82,959 in 2023"], "b": ["82,959"]}
    assert pages._evidence(question, {"a": 1, "b": 0}, printed) == {("a", 2): {"82,959"}}
