"""Rerankers: the scores are what the weights say, in this process and on a real vLLM, and no failure is a score."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from scripted_vllm import Act, Step, refuses, scripted_vllm
from tiny_models import tiny_cross_encoder
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from vllm_server import SMALL, executable

from core.errors import ModelFailed, WrongUsage
from inference.cross_encoder import LocalCrossEncoder
from inference.vllm.reranking import ServedReranker

QUESTION = "How many days of leave?"
TEXTS = ["Employees have 27 days of annual leave.", "The canteen opens at noon.", "x " * 2_500]
START_S = 300.0


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("weights") / "reranker")


def said_by(weights: Path) -> list[float]:
    """Reference: the same weights by `transformers` alone, one text at a time."""
    tokenizer = AutoTokenizer.from_pretrained(weights, local_files_only=True)
    model = AutoModelForSequenceClassification.from_pretrained(weights, local_files_only=True).eval()
    scores = []
    with torch.inference_mode():
        for text in TEXTS:
            read = tokenizer(QUESTION, text, truncation=True, return_tensors="pt")
            scores.append(float(torch.sigmoid(model(**read).logits[0, 0])))
    return scores


def test_the_scores_are_what_the_weights_say(weights: Path) -> None:
    reranker = LocalCrossEncoder(weights)

    scores = reranker.scores(QUESTION, TEXTS)

    np.testing.assert_allclose(scores, said_by(weights), rtol=1e-4)
    assert len(set(scores.tolist())) == 3 and scores.dtype == np.float32
    assert reranker.scores(QUESTION, []).shape == (0,)


def test_a_folder_without_a_reranker_is_refused_by_the_name_of_its_setting(weights: Path, tmp_path: Path) -> None:
    runs_code = tmp_path / "runs-code"
    shutil.copytree(weights, runs_code)
    (runs_code / "model.safetensors").rename(runs_code / "pytorch_model.bin")
    for folder, why in (
        (tmp_path / "nothing", "no folder with a model"),
        (runs_code, "can run code"),
        (tiny_cross_encoder(tmp_path / "classes", labels=3), "gives 3 numbers"),
    ):
        with pytest.raises(WrongUsage, match=why) as refused:
            LocalCrossEncoder(folder)
        assert "FOOTNOTE_RERANKER_MODEL" in str(refused.value)


def reply(*results: object) -> tuple[Step, ...]:
    body = json.dumps({"results": results}).encode()
    return (b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body,)


def result(index: int, score: object) -> dict[str, object]:
    return {"index": index, "relevance_score": score}


def test_served_scores_stand_in_the_order_of_the_texts() -> None:
    with scripted_vllm(reply(result(1, 0.9), result(0, 0.1))) as server:
        scores = ServedReranker(server.url, "judge", 5.0, "k3y").scores("a question", ["one", "two"])

    assert scores.tolist() == pytest.approx([0.1, 0.9])
    assert (server.bodies[0]["model"], server.bodies[0]["query"]) == ("judge", "a question")
    assert server.bodies[0]["documents"] == ["one", "two"]


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (refuses(500), "refused"),
        (reply(result(0, 0.5)), "broken"),
        (reply(result(0, 0.5), result(1, None)), "broken"),
        (reply(result(0, 0.5), result(1, float("nan"))), "broken"),
        (reply(result(0, 0.5), result(1, 7)), "broken"),
        (reply(result(0, 0.5), result(2, 0.5)), "broken"),
        (reply("nothing"), "broken"),
        ((Act.DROP,), "unreachable"),
        ((Act.STALL,), "late"),
    ],
)
def test_what_are_no_scores_is_a_failure(script: tuple[Step, ...], kind: str) -> None:
    with scripted_vllm(script) as server:
        reranker = ServedReranker(server.url, "", 0.3 if kind == "late" else 5.0)
        with pytest.raises(ModelFailed) as failure:
            reranker.scores("zanzibarquokka", ["one", "two"])
    assert failure.value.kind == kind
    assert "zanzibarquokka" not in str(failure.value)


@pytest.fixture
def served(weights: Path, tmp_path: Path) -> Iterator[ServedReranker]:
    if not executable().exists():
        pytest.skip(f"no vLLM at {executable()}: `make test` installs it")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    key, log = secrets.token_hex(8), tmp_path / "log"
    options = ["--port", str(port), "--enforce-eager", "--served-model-name", "judge", "--api-key", key]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [executable(), "serve", weights, *options], env=os.environ | SMALL, stdout=output, stderr=output
        )
    until = time.monotonic() + START_S
    while not answers(f"http://127.0.0.1:{port}/health"):
        assert server.poll() is None and time.monotonic() < until, log.read_text(errors="replace")[-3000:]
        time.sleep(0.5)
    yield ServedReranker(f"http://127.0.0.1:{port}/v1", "judge", 60.0, key)
    server.terminate()
    server.wait(60)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@pytest.mark.deep
def test_a_real_vllm_says_the_same(served: ServedReranker, weights: Path) -> None:
    np.testing.assert_allclose(served.scores(QUESTION, TEXTS), said_by(weights), atol=0.01)
