"""The bench of answers: both sides write the same text, and ours is really checked, cited and shown."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from vllm_server import VllmServer

from evaluation.bench import answer, tiny_vllm
from evaluation.bench.report import Row
from evaluation.bench.tiny_vllm import Served


def test_raw_and_ours_are_measured_on_one_server_and_each_target_has_a_claim(
    vllm_server: VllmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"QUESTIONS": 2, "ALTERNATIONS": 3, "CLIENTS": 3, "ANSWERS_PER_CLIENT": 1, "ROUNDS": 1}
    for name, value in small.items():
        monkeypatch.setattr(answer, name, value)

    report = answer.run_answer(Served(vllm_server.url, vllm_server.key))

    raw, ours, raw_many, ours_many = (row.figures for row in report.rows)
    assert 0 < float(raw["first_token_ms_p50"]) < float(raw["first_sentence_ms_p50"])
    assert 0 < float(ours["first_token_ms_p50"]) < float(ours["first_sentence_ms_p50"])
    later, ratio = report.claims
    assert later.value == pytest.approx(float(ours["first_sentence_ms_p50"]) - float(raw["first_sentence_ms_p50"]))
    assert ratio.value == pytest.approx(float(ours_many["tokens_per_s"]) / float(raw_many["tokens_per_s"]))
    assert (later.target, ratio.target) == (25.0, 0.9)


def test_without_a_vllm_the_bench_says_so_and_claims_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tiny_vllm, "_ROOT", tmp_path)
    monkeypatch.setattr(tiny_vllm.shutil, "which", lambda _: None)

    report = answer.run_answer()

    assert report.claims == () and "no vLLM here" in (report.rows[0].error or "")


def test_a_vllm_that_is_not_there_is_a_row_with_its_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

    report = answer.run_answer(Served(nobody))

    assert report.claims == () and report.rows == (Row("vLLM", error="vLLM cannot be reached."),)
