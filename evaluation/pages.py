"""Page numbers of PDFs: whether what was found stands on the page that is named, and is the page with the answer.

Pages are read a second time here, as PDFium writes a whole page's text: in no order of ours, but on its own page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

import pypdfium2 as pdfium

from core.answers import Passage
from core.principals import Principal
from evaluation.metrics import mean
from evaluation.progress import followed
from evaluation.sets import Judgements, Question, SetDocument
from retrieval.search import Searcher

K = 10
_WORD = re.compile(r"\w+")
# An amount as accounts print it: digits in groups of three or with decimals. A bare year or a note's number is none.
_FIGURE = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+")
_FIRST_WORDS = 12

Pages = Sequence[str]


def pages_of(documents: Iterable[SetDocument]) -> dict[str, Pages]:
    """The text of each page of each document that is a PDF."""
    pdfs = (document for document in documents if document.file_name.lower().endswith(".pdf"))
    read = ((document.id, _pages(document.load())) for document in pdfs)
    return {name: pages for name, pages in read if pages}


def _pages(data: bytes) -> Pages:
    """None where the file cannot be opened: whoever reads it says why."""
    with suppress(pdfium.PdfiumError), closing(pdfium.PdfDocument(data)) as document:
        return [page.get_textpage().get_text_range() for page in document]
    return []


def page_figures(
    searcher: Searcher,
    principal: Principal,
    questions: Sequence[Question],
    judgements: Judgements,
    pages: Mapping[str, Pages],
) -> dict[str, Any]:
    """Figures over the first `K` passages of each question.

    `right_pages`: the share of all passages whose first words stand on the page that they name. `questions`: those
    whose accepted answer holds an amount that is printed in a relevant document. `evidence_page@10`: the share of these
    for which a passage names a page of a relevant document on which such an amount is printed. `cell@10`: the share
    for which such a passage holds the amount itself, so that it can be quoted.
    """
    right: list[float] = []
    on_page: list[float] = []
    quotable: list[float] = []
    for question in followed(questions, "Looking for pages"):
        passages = [hit.passage for hit in searcher.search(question.text, principal, K).hits]
        passages = [passage for passage in passages if passage.external_id in pages]
        right += [float(_stands_there(passage, pages[passage.external_id])) for passage in passages]
        evidence = _evidence(question, judgements.get(question.id, {}), pages)
        if evidence:
            found = [passage for passage in passages if (passage.external_id, passage.page) in evidence]
            on_page.append(float(bool(found)))
            quotable.append(float(any(_holds(one, evidence[one.external_id, one.page]) for one in found)))
    return {
        "passages": len(right),
        "right_pages": mean(right),
        "questions": len(on_page),
        f"evidence_page@{K}": mean(on_page),
        f"cell@{K}": mean(quotable),
    }


def _evidence(
    question: Question, grades: Mapping[str, float], pages: Mapping[str, Pages]
) -> dict[tuple[str, int | None], set[str]]:
    """The amounts of the accepted answers by the document and the page, from 1, that they are printed on."""
    wanted = {figure for answer in question.answers for figure in _FIGURE.findall(answer)}
    found: dict[tuple[str, int | None], set[str]] = {}
    for document, grade in grades.items():
        for number, text in enumerate(pages.get(document, ()), start=1):
            printed = wanted & set(_FIGURE.findall(text))
            if grade > 0 and printed:
                found[document, number] = printed
    return found


def _holds(passage: Passage, figures: set[str]) -> bool:
    return bool(figures & set(_FIGURE.findall(passage.text)))


def _stands_there(passage: Passage, pages: Pages) -> bool:
    """Whether the first words of a passage are words of the page that it names."""
    if passage.page is None or not 1 <= passage.page <= len(pages):
        return False
    # Words divided at the end of a line are whole in ours.
    page = _WORD.findall(pages[passage.page - 1].replace("\ufffe\r\n", "").replace("-\r\n", ""))
    words = _WORD.findall(passage.text)[:_FIRST_WORDS]
    return set(words) <= {*page, *_WORD.findall(pages[passage.page - 1])}
