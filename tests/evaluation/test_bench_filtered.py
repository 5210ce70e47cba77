"""The bench of filtered search: filters let through what they say, answers are exact, figures rest on what ran."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from core.errors import Transient
from evaluation.bench import filtered
from evaluation.bench.filtered import FilteredBench, recall, run_filtered
from evaluation.bench.filtered_corpus import LAYOUTS, READABLE, exact, filtered_corpus, write_corpus
from evaluation.bench.processes import run_alone
from evaluation.peers.environments import environment_of
from evaluation.peers.stores import STORES, requirements, store

# Finds what is nearest to nothing in particular, and cannot filter at all.
PEER = """
import sys
from pathlib import Path
from evaluation.peers import filtered_programs

def careless(vectors, sets, store):
    def search(query, column, allowed):
        if allowed is not None and len(allowed) < 100:
            raise ValueError("too few")
        return list(range(10))
    return search

filtered_programs.SYSTEMS["careless"] = careless
filtered_programs.main(["careless", *sys.argv[1:]])
"""


def test_the_same_seed_gives_the_same_corpus_and_another_seed_another() -> None:
    first, again, other = (filtered_corpus(2_000, 4, seed) for seed in (1, 1, 2))

    for name in ("vectors", "sets", "queries"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))


def test_a_filter_lets_through_the_share_it_says_and_clustered_ones_lie_together() -> None:
    corpus = filtered_corpus(20_000, 2, seed=3)

    assert [one.readable for one in corpus.filters] == [1, *(share for share in READABLE[1:] for _ in LAYOUTS)]
    centres = {}
    for one in corpus.filters:
        mask = one.mask(corpus.sets)
        assert mask.mean() == pytest.approx(one.readable, rel=0.5, abs=0.002)
        centres[one.readable, one.layout] = np.linalg.norm(corpus.vectors[mask].mean(axis=0))
    assert centres[0.01, "clustered"] > 1.5 * centres[0.01, "scattered"]


def test_the_truth_is_every_passing_chunk_sorted() -> None:
    corpus = filtered_corpus(3_000, 12, seed=4)

    for number, one in enumerate(corpus.filters):
        passing = [
            row
            for row, sets in enumerate(corpus.sets)
            if one.sets is None or sets[LAYOUTS.index(one.layout)] in one.sets
        ]
        for query, found in zip(corpus.queries[number], exact(corpus, number), strict=True):
            best = sorted(passing, key=lambda row: -float(corpus.vectors[row] @ query))[:10]
            assert found.tolist() == best


def test_recall_is_the_mean_share_of_the_right_ones() -> None:
    right = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [9, 9, 9, 9]])

    assert recall([[4, 3, 2, 1], [5, 1]], right) == (1 + 1 / 4) / 2


def test_every_filter_has_a_row_for_each_system_and_no_claim_rests_on_one_that_finds_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = tmp_path / "peer.py"
    peer.write_text(PEER)

    def store_of(system: str) -> list[str]:
        if system == "away":
            raise Transient("no index can be reached")
        return [sys.executable, str(peer)]

    monkeypatch.setattr(filtered, "store", store_of)

    report = run_filtered(FilteredBench(5_000, 12, 5, ("away", "careless")))

    rows = {row.system: row for row in report.rows}
    assert rows["away"].error == "no index can be reached"
    for one in filtered_corpus(5_000, 1, 1).filters:
        ours, flat, careless = (rows[f"{system}, {one.name}"] for system in ("footnote", "flat fp32", "careless"))
        assert ours.figures["recall@10"] == flat.figures["recall@10"] == 1.0
        assert ours.figures["filter"] == one.name and ours.figures["searches"] == 12
        if one.sets is not None and len(one.sets) < 100:
            assert careless.error == "ValueError: too few"
        else:
            assert float(careless.figures["recall@10"]) < 0.5
    (found,) = report.claims  # and none about speed
    assert found.value == 1.0 and found.holds


@pytest.mark.deep
@pytest.mark.parametrize("system", STORES)
def test_a_peer_that_is_installed_finds_nearly_all_under_a_wide_filter(system: str, tmp_path: Path) -> None:
    if not environment_of(*requirements(system)).made:
        pytest.skip(f"{system} is not installed: `footnote bench filtered` does it")
    corpus = filtered_corpus(2_000, 12, seed=6)
    folder = tmp_path / "corpus"
    folder.mkdir()
    write_corpus(corpus, folder)
    (tmp_path / "store").mkdir()

    run_alone([*store(system), str(folder), str(tmp_path / "store"), str(tmp_path / "result"), "20"], {})

    told = json.loads((tmp_path / "result").read_text("utf-8"))["filters"]
    for number, one in enumerate(corpus.filters):
        if one.readable >= 0.3:
            assert recall(told[number]["ids"], exact(corpus, number)) > 0.9
