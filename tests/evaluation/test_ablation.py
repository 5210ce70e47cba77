"""What `footnote eval --ablation` says of a ranking and its parts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from labelled_sets import write_question_set

from apps.cli.main import invoke
from core.settings import Settings
from evaluation.ablation import MEANING, VARIANTS, WEIGHTS, WORDS, Ablation, ablate


def figures(best: float, words: float = 0.5) -> dict[str, tuple[float, float]]:
    """A set on which one dense weight is better than every other, the nearer the better."""
    weights = {f"dense weight {weight}": (1 - abs(weight - best), 1.0) for weight in WEIGHTS}
    return {"as it is": weights["dense weight 0.8"], WORDS: (words, 1.0), MEANING: (0.4, 1.0)} | weights


def test_a_weight_is_chosen_on_the_other_sets() -> None:
    found = Ablation({"one": figures(0.6), "two": figures(0.9), "three": figures(0.9)})

    assert found.chosen_on(["one"]) == 0.6
    assert found.chosen_on(["one", "two", "three"]) == 0.9
    assert found.tuned() == pytest.approx((0.7 + 1 + 1) / 3)
    # Without `two` or `three`, 0.6 and 0.9 are as good as each other, and the smallest is taken.
    assert found.left_out() == pytest.approx((0.7 + 0.7 + 0.7) / 3)


def test_the_worst_set_against_its_better_part_is_told() -> None:
    found = Ablation({"one": figures(0.8), "two": figures(0.8, words=1.5)})
    assert found.worst_against_alone() == pytest.approx(1 - 1.5)


def test_each_variant_ranks_what_is_asked(tmp_path: Path) -> None:
    folder = write_question_set(
        tmp_path / "set",
        [{"id": f"d{one}", "title": "", "text": f"{word} and nothing else"} for one, word in enumerate(("ab", "cd"))],
        [{"id": "q", "text": "cd"}],
        [("q", "d1", 1)],
    )
    settings = Settings(home=tmp_path / "home", embedding_model="hashing")

    found = ablate([folder], settings).figures["set"]

    assert set(found) == {*VARIANTS, WORDS, MEANING}
    assert set(found.values()) == {(1.0, 1.0)}


def test_the_command_prints_the_table_and_its_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOOTNOTE_EMBEDDING_MODEL", "hashing")
    document, question = {"id": "d", "title": "", "text": "words"}, {"id": "q", "text": "words"}
    folders = [write_question_set(tmp_path / name, [document], [question], [("q", "d", 1)]) for name in ("one", "two")]
    assert invoke(["eval", *map(str, folders), "--ablation", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["left_out"] == 1.0
    assert invoke(["eval", *map(str, folders), "--ablation"]) == 0
    assert "words alone | 1.000 | 1.000 | 1.000" in capsys.readouterr().out
