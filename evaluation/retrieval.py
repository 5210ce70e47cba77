"""Retrieval on a question set: each question's documents ranked by the search that people use, and how good that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from core.principals import Principal
from evaluation.metrics import has_relevant, mean, ndcg, recall, reciprocal_rank, success
from evaluation.progress import followed
from evaluation.sets import Judgements, Question
from retrieval.search import MAX_K, Searcher

DEPTH = 100
"""How many documents are ranked for a question, where there are that many."""

Rankings = Mapping[str, Sequence[str]]
"""For each question's id, the ids of the documents found, best first."""


def rank_all(searcher: Searcher, principal: Principal, questions: Sequence[Question]) -> Rankings:
    return {
        question.id: rank_documents(searcher, question.text, principal) for question in followed(questions, "Searching")
    }


def rank_documents(searcher: Searcher, query: str, principal: Principal) -> list[str]:
    """At most `DEPTH` external ids, best first; a document ranks as its best chunk, one that says the same behind it.

    Fewer where fewer are readable, or where the first `MAX_K` chunks come from fewer documents.
    """
    k = 2 * DEPTH
    while True:
        hits = searcher.search(query, principal, k).hits
        found = (passage.external_id for hit in hits for passage in (hit.passage, *hit.also_in))
        documents = list(dict.fromkeys(found))
        if len(documents) >= DEPTH or len(hits) < k or k == MAX_K:
            return documents[:DEPTH]
        k = min(2 * k, MAX_K)


def retrieval_figures(
    questions: Iterable[Question], rankings: Rankings, judgements: Judgements
) -> dict[str, float | None]:
    """The means over the questions that have a relevant document, and how many these are."""
    judged = [question.id for question in questions if has_relevant(judgements.get(question.id, {}))]
    pairs = [(rankings[one], judgements[one]) for one in judged]
    return {
        "ndcg@10": mean(ndcg(ranking, grades, 10) for ranking, grades in pairs),
        "recall@10": mean(recall(ranking, grades, 10) for ranking, grades in pairs),
        "recall@100": mean(recall(ranking, grades, 100) for ranking, grades in pairs),
        "success@3": mean(success(ranking, grades, 3) for ranking, grades in pairs),
        "mrr@10": mean(reciprocal_rank(ranking, grades, 10) for ranking, grades in pairs),
        "questions": len(judged),
    }


def write_run(file: Path, rankings: Rankings, tag: str) -> None:
    """Write the rankings in TREC's format: question, `Q0`, document, rank, score, tag.

    The score is 1 / rank, so that tools that sort by score find our order and no ties. An id that holds spaces is
    written as it stands.
    """
    with file.open("w", encoding="utf-8") as out:
        for question, documents in rankings.items():
            for rank, document in enumerate(documents, start=1):
                out.write(f"{question} Q0 {document} {rank} {1 / rank:.6f} {tag}\n")
