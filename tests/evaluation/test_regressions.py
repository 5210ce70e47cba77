from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest

from core.errors import WrongUsage
from evaluation.baseline import compare, read_baseline

BASELINE: dict[str, Any] = {
    "set": "tiny",
    "retrieval": {"ndcg@10": 0.8, "mrr@10": 0.7, "questions": 400},
    "answers": {"f1": 0.5, "abstention": {"precision": 0.9, "recall": None}, "abstained": 0.3, "questions": 100},
    "by_lang": {"de": {"retrieval": {"ndcg@10": 0.9, "questions": 25}}},
    "seconds": 10.0,
}


def changed(**figures: float | None) -> dict[str, Any]:
    """The baseline with some figures of `retrieval` replaced."""
    result = copy.deepcopy(BASELINE)
    result["retrieval"].update({name.replace("_at_", "@"): value for name, value in figures.items()})
    return result


def test_the_same_figures_are_no_regression() -> None:
    assert compare(BASELINE, BASELINE) == []


@pytest.mark.parametrize(("loss", "worse"), [(0.9, False), (1.1, True), (-5.0, False)])
def test_a_loss_counts_beyond_what_so_many_questions_leave_to_chance(loss: float, worse: bool) -> None:
    tolerance = max(0.005, 0.2 / math.sqrt(400))

    found = compare(changed(ndcg_at_10=0.8 - loss * tolerance), BASELINE)

    assert [regression.figure for regression in found] == (["retrieval.ndcg@10"] if worse else [])


def test_fewer_questions_leave_more_to_chance() -> None:
    result = copy.deepcopy(BASELINE)
    result["by_lang"]["de"]["retrieval"]["ndcg@10"] = 0.87  # 0.2 / sqrt(25) = 0.04
    assert compare(result, BASELINE) == []

    result["by_lang"]["de"]["retrieval"]["ndcg@10"] = 0.85
    assert "tiny: by_lang.de.retrieval.ndcg@10 was 0.900 and is 0.850 now" in str(compare(result, BASELINE)[0])


def test_a_figure_that_is_gone_is_a_regression_unless_its_part_was_skipped() -> None:
    assert [regression.figure for regression in compare(changed(mrr_at_10=None), BASELINE)] == ["retrieval.mrr@10"]
    skipped = {name: part for name, part in BASELINE.items() if name != "answers"}
    assert compare(skipped, BASELINE) == []


def test_time_and_counts_are_no_quality_and_a_rate_of_false_alarms_is_worse_when_higher() -> None:
    was = {"set": "safety", "auroc": 0.9, "false_positive_rate": 0.1, "rows": 100, "seconds": 1.0}

    assert compare({**was, "rows": 50, "seconds": 99.0, "false_positive_rate": 0.0}, was) == []
    assert [one.figure for one in compare({**was, "false_positive_rate": 0.2}, was)] == ["false_positive_rate"]


def test_a_baseline_is_one_result_or_a_list_and_anything_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    file.write_text(json.dumps([BASELINE, {"set": "other"}]))
    assert set(read_baseline(file)) == {"tiny", "other"}
    file.write_text(json.dumps(BASELINE))
    assert read_baseline(file) == {"tiny": BASELINE}

    file.write_text('{"figures": 1}')
    with pytest.raises(WrongUsage, match="no results"):
        read_baseline(file)
    file.write_text("{")
    with pytest.raises(WrongUsage, match="not JSON"):
        read_baseline(file)
    with pytest.raises(WrongUsage, match="cannot be read"):
        read_baseline(tmp_path / "absent.json")
