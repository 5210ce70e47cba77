"""The bench of ranking: chunks that lose nothing, the same documents and vectors for all, figures of what ran."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from labelled_sets import write_question_set
from numpy.typing import NDArray

from core.errors import Transient, WrongUsage
from core.settings import Settings
from evaluation.bench import ranking
from evaluation.bench.ranking import Embedded, RankingBench, judged, run_ranking
from evaluation.bench.ranking_chunks import OVERLAP, TOKENS, cut
from evaluation.metrics import ndcg
from evaluation.peers.environments import environment_of
from evaluation.peers.rankers import RANKERS, requirements
from evaluation.sets import read_question_set
from inference.hashing import HashingEncoder
from inference.minilm import load_default_encoder

SPOKEN = {
    "leave": "Annual holidays are twenty days for everybody who works here.",
    "travel": "Trains are booked by the travel desk before the tenth of a month.",
    "pets": "Dogs may come along on Fridays when nobody is afraid of them.",
}
# A peer that has the words of a question looked up nowhere: it compares vectors, as they are handed to it.
PEER = """
import sys
from evaluation.peers import ranking_programs

def plain(chunks, embed, store):
    vectors = embed([chunk["text"] for chunk in chunks])
    print("a library says something")
    return lambda question: [chunks[number]["document"] for number in (-(vectors @ embed([question])[0])).argsort()]

ranking_programs.SYSTEMS["plain"] = plain
ranking_programs.main(["plain", *sys.argv[1:]])
"""


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """A folder with one set: a question for each document, one that nothing is relevant to, and one that is misled."""
    queries = [{"id": f"q-{name}", "text": text.split(".")[0].lower()} for name, text in SPOKEN.items()]
    queries += [{"id": "q-none", "text": "Who won?"}, {"id": "q-odd", "text": "Dogs may come along on Fridays"}]
    judgements = [*((f"q-{name}", name, 1) for name in SPOKEN), ("q-odd", "leave", 1), ("q-none", "pets", 0)]
    corpus = [{"id": name, "title": name, "text": text} for name, text in SPOKEN.items()]
    write_question_set(tmp_path / "sets" / "small", corpus, queries, judgements)
    return tmp_path / "sets"


def test_chunks_hold_every_word_in_order_and_fit() -> None:
    count = load_default_encoder(threads=1).count_tokens
    words = [f"word{number} antidisestablishmentarianism" for number in range(300)]
    text = "\n\n".join(words) + " " + "".join(chr(0x4E00 + number) for number in range(500))

    parts = list(cut(text, count))

    assert len(parts) > 5
    assert all(tokens <= TOKENS + 2 for tokens in count(parts))
    at = 0
    for part in parts:
        found = text.index(part)
        assert found <= at  # nothing lies between two parts
        assert found == 0 or count([text[found:at]])[0] <= OVERLAP + 2
        at = found + len(part)
    assert at == len(text)


def test_a_document_without_text_is_one_empty_chunk() -> None:
    assert list(cut("", HashingEncoder(8).count_tokens)) == [""]


def test_questions_are_those_with_something_relevant_evenly_spread(sets: Path) -> None:
    given = read_question_set(sets / "small")

    assert [one.id for one in judged(given, None).questions] == ["q-leave", "q-travel", "q-pets", "q-odd"]
    assert [one.id for one in judged(given, 2).questions] == ["q-leave", "q-pets"]


def test_a_text_is_embedded_once_whoever_asks() -> None:
    class Counting(HashingEncoder):
        seen: list[str]

        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            self.seen.extend(texts)
            return super().encode(texts)

    encoder = Counting(16)
    encoder.seen = []
    embedded = Embedded(encoder)

    first, again = embedded(["one", "two", "one"]), embedded(["two", "three"])

    assert encoder.seen == ["one", "two", "three"]
    assert np.array_equal(first, HashingEncoder(16).encode(["one", "two", "one"]))
    assert np.array_equal(again, HashingEncoder(16).encode(["two", "three"]))


def test_every_system_ranks_the_same_documents_for_the_same_questions(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = tmp_path / "peer.py"
    peer.write_text(PEER)
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no store here')")

    def ranker_of(system: str) -> list[str]:
        if system == "away":
            raise Transient("no index can be reached")
        return [sys.executable, str({"plain": peer, "broken": broken}[system])]

    monkeypatch.setattr(ranking, "ranker", ranker_of)
    settings = Settings(embedding_model="hashing")

    report = run_ranking(RankingBench(sets, ("small",), None, ("away", "plain", "broken"), settings))

    ours, away, plain, broken_row = report.rows
    assert away.error == "small: no index can be reached"
    assert broken_row.error == "small: it ended with status 1 (no store here)"
    # Three questions are the documents' own words; the fourth names another document, whose place is second or third.
    misled = [ndcg(["pets", *others], {"leave": 1}, 10) for others in (["leave", "travel"], ["travel", "leave"])]
    expected = [pytest.approx((3 + figure) / 4, abs=1e-4) for figure in misled]
    for row in (ours, plain):
        assert row.figures["small"] in expected and row.figures["mean"] == row.figures["small"]
    better = float(ours.figures["small"]) >= float(plain.figures["small"])
    assert (ours.figures["first_on"], report.claims[0].value) == (int(better), int(better))


def test_one_set_can_be_named_itself(sets: Path) -> None:
    report = run_ranking(RankingBench(sets / "small", peers=(), settings=Settings(embedding_model="hashing")))

    (ours,) = report.rows
    assert float(ours.figures["small"]) > 0.5 and ours.figures["first_on"] == 1
    assert not report.claims  # there is nobody to compare with


def test_a_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="no set cranfield"):
        run_ranking(RankingBench(tmp_path))
    with pytest.raises(WrongUsage, match="--sets"):
        run_ranking()


@pytest.mark.deep
@pytest.mark.parametrize("system", RANKERS)
def test_a_peer_that_is_installed_finds_what_is_asked_for(system: str, sets: Path) -> None:
    if not environment_of(*requirements(system)).made:
        pytest.skip(f"{system} is not installed: `footnote bench ranking` does it")

    report = run_ranking(RankingBench(sets, ("small",), 3, (system,)))

    assert [row.error for row in report.rows] == [None, None]
    assert float(report.rows[1].figures["small"]) == 1.0
