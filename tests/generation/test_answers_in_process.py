"""Answers by a model in our own process, through the whole service as it is wired."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.administration import Administration
from core.answers import Answer
from core.principals import parse_grantee, parse_principal
from core.settings import Settings
from governance.access.rules import AccessLists
from governance.identity import ADMINISTRATOR
from wiring.lifecycle import init_home, open_home

ANA = parse_principal("user:ana")
LEAVE = b"Full-time employees have 27 days of annual leave. Unused days lapse on 31 March of the next year."


def asked(home_folder: Path, model: Path, patience_s: float) -> Answer:
    settings = Settings(
        home=home_folder,
        embedding_model="hashing",
        transformers_model=model,
        model_patience_s=patience_s,
        model_max_tokens=24,
    )
    init_home(settings)
    with open_home(settings) as home:
        lists = AccessLists(frozenset({parse_grantee("user:ana")}))
        Administration(home, ADMINISTRATOR, "test").upload("handbook", "leave.md", LEAVE, lists)
        return home.ask.ask("How many days of annual leave are there?", ANA, "test")


@pytest.mark.parametrize(("patience_s", "mode"), [(60, "transformers"), (1e-4, "extractive")])
def test_a_model_in_this_process_answers_and_quotes_take_its_place_when_it_is_late(
    tiny_llama: Path, tmp_path: Path, patience_s: float, mode: str
) -> None:
    answer = asked(tmp_path / "home", tiny_llama, patience_s)

    assert answer.mode == mode
    if mode == "transformers":
        # Random weights state nothing that a passage supports.
        assert (answer.text, answer.reason, answer.degraded) == ("", "low_support", None)
        assert (answer.model, answer.usage["completion_tokens"]) == ("tiny-llama", 24)
    else:
        assert "27 days" in answer.text and answer.degraded and answer.degraded["mode"] == "transformers"
