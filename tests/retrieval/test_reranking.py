"""Reranking: a model's order of the best passages, of readable ones only, and the former order where it fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from test_ranked_once import ANA, BEN, names, shelve
from tiny_models import tiny_cross_encoder

from core.answers import Hit, Passage
from core.errors import ModelFailed, WrongUsage
from core.settings import Settings
from retrieval.repeats import Ranked
from retrieval.reranking import Reranking
from retrieval.search import Searcher
from wiring.home import Home
from wiring.lifecycle import init_home, open_home

QUESTION = "How many days of leave"
FILES = {f"leave-{n}.md": f"# Leave {n}\n\nDays of leave for {word} people: {n}." for n, word in enumerate("abcdefgh")}
ACCESS = 'default: {allow: ["user:ana"]}\nrules:\n  - {path: "leave-[0-3].md", allow: ["user:ana", "user:ben"]}\n'


@dataclass
class Judge:
    """Scores a text by its letters, remembers what it read, and does `meanwhile`."""

    by: Callable[[str], float] = lambda text: len(text) / 1_000
    meanwhile: Callable[[], object] = lambda: None
    read: list[str] = field(default_factory=list)

    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        self.read += texts
        self.meanwhile()
        return np.array([self.by(text) for text in texts], np.float32)


@dataclass
class Fails:
    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        raise ModelFailed("late", "too late")


def unexpected(failure: ModelFailed) -> None:
    raise AssertionError(failure)


def passage(row: int) -> Passage:
    return Passage(
        row, str(row), f"d{row}", 1, "s", f"{row}.md", "", "Title", ("Part", "Section"), None, 0, 1, "x" * row
    )


def ranking(*scores: float) -> list[Ranked]:
    return [Ranked(passage(row), score) for row, score in enumerate(scores)]


def rows(ranked: Sequence[Ranked]) -> list[tuple[int, float]]:
    return [(one.passage.row, round(one.score, 3)) for one in ranked]


def test_the_first_are_put_in_order_and_none_of_the_others_comes_before_them() -> None:
    judge = Judge(lambda text: {2: 0.9, 1: 0.5, 0: 0.5}[text.count("x")])

    ranked = Reranking(judge, 3, unexpected).ranked("q", ranking(0.9, 0.8, 0.7, 0.6, 0.3))

    assert rows(ranked) == [(2, 0.9), (0, 0.5), (1, 0.5), (3, 0.5), (4, 0.3)]
    assert judge.read[1] == "Title\nPart > Section\nx"


def test_a_model_that_fails_leaves_the_order_and_its_failure_is_told() -> None:
    told: list[str] = []

    ranked = Reranking(Fails(), 3, lambda failure: told.append(failure.kind)).ranked("q", ranking(0.9, 0.8))

    assert (rows(ranked), told) == ([(0, 0.9), (1, 0.8)], ["late"])


def searcher(home: Home, judge: Judge, passages: int = 20) -> Searcher:
    return replace(home.searcher, reranking=Reranking(judge, passages, unexpected))


def found(searcher: Searcher, who: object = ANA, k: int = 3) -> tuple[Hit, ...]:
    return searcher.search(QUESTION, who, k).hits  # type: ignore[arg-type]


def test_what_lies_deeper_than_k_may_come_first(home: Home, tmp_path: Path) -> None:
    shelve(home, tmp_path / "org", FILES, ACCESS)
    plain = names(home.searcher.search(QUESTION, ANA, 8).hits)
    judge = Judge(lambda text: float(plain[-1].removesuffix(".md").replace("-", " ").title() in text))

    hits = found(searcher(home, judge), k=3)

    assert names(hits) == [plain[-1], *plain[:2]]
    assert [hit.score for hit in hits] == [1.0, 0.0, 0.0]
    assert names(found(searcher(home, judge, passages=7), k=3)) == plain[:3]


def test_the_model_reads_nothing_that_its_asker_may_not(home: Home, tmp_path: Path) -> None:
    shelve(home, tmp_path / "org", FILES, ACCESS)
    judge = Judge()

    assert len(found(searcher(home, judge), BEN, 8)) == 4
    assert sorted(text.split("\n")[0] for text in judge.read) == [f"Leave {n}" for n in range(4)]


def test_what_was_taken_away_while_the_model_read_is_not_shown(home: Home, tmp_path: Path) -> None:
    shelve(home, tmp_path / "org", FILES, ACCESS)
    first = names(found(searcher(home, Judge()), BEN, 1))[0]
    taken: list[str] = []

    def take() -> None:
        if not taken:
            taken.append(first)
            shelve(home, tmp_path / "org", {name: text for name, text in FILES.items() if name != first}, ACCESS)

    hits = found(searcher(home, Judge(meanwhile=take)), BEN, 4)

    assert taken and first not in names(hits) and len(hits) == 3


def test_a_home_searches_with_the_reranker_of_its_settings(settings: Settings, tmp_path: Path) -> None:
    weights = tiny_cross_encoder(tmp_path / "weights")
    init_home(settings)
    with open_home(settings) as home:
        shelve(home, tmp_path / "org", FILES, ACCESS)
        assert home.reranker is None
    with open_home(settings.model_copy(update={"reranker_model": weights})) as home:
        result = home.searcher.search(QUESTION, ANA, 8)
        read = [
            "\n".join((hit.passage.title, " > ".join(hit.passage.heading), hit.passage.text)) for hit in result.hits
        ]
        assert home.reranker is not None and result.timings_ms["rerank"] > 0
        scores = home.reranker.scores(QUESTION, read)
        assert [hit.score for hit in result.hits] == pytest.approx(sorted(scores.tolist(), reverse=True), abs=1e-5)
    both = settings.model_copy(update={"reranker_model": weights, "reranker_url": "http://127.0.0.1:1/v1"})
    with open_home(both) as home, pytest.raises(WrongUsage, match="Unset the other"):
        home.searcher  # noqa: B018 - it is made when it is asked for
