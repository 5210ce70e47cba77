"""What operators see of the model: readiness that tells the truth, and figures without names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from scripted_vllm import HEAD, Act, refuses, says, scripted_vllm
from web_home import LEAVE, WebHome, bearer, web_home

from apps.web import readiness
from core.errors import WrongUsage
from inference.chat import ChatMessage, ChatRequest

QUESTION = {"question": "How many days of annual leave do full-time employees have?"}
HEALTHY = refuses(200, b'{"data": [{"id": "other"}, {"id": "scripted"}]}')
WELL = refuses(200)
"""What `/health` says; what comes next is asked with a key, and is the list of models."""
SILENT = (Act.STALL,)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_KEPT_SECONDS", 0.0)


@contextmanager
def on(folder: Path, *urls: str, patience_s: float = 30.0) -> Iterator[WebHome]:
    """A home on these servers; a silent one is asked, and waited for, when the application warms up."""
    settings = {"vllm_urls": ",".join(urls), "vllm_model": "scripted", "model_patience_s": patience_s}
    with web_home(folder / "home", **settings) as web:
        web.add("leave.md", LEAVE, "everyone")
        yield web


def ask(web: WebHome) -> dict[str, Any]:
    response = web.client.post("/v1/ask", json=QUESTION, headers=bearer(web.key("user:ana")))
    assert response.status_code == 200
    return dict(response.json())


def figures(web: WebHome, name: str) -> dict[str, float]:
    """A metric's values, by the value of its one label."""
    page = web.client.get("/metrics", headers=bearer(web.administrator)).text
    assert "127.0.0.1" not in page
    return {label: float(value) for label, value in re.findall(rf'^{name}{{\w+="(\w+)"}} (\S+)$', page, re.M)}


@pytest.mark.parametrize("urls", ["gpu-1:8000/v1", "http://gpu-1:8000", "http://gpu-1:8000/v1;http://gpu-2:8000"])
def test_what_is_no_address_of_a_server_is_told_before_anybody_asks(tmp_path: Path, urls: str) -> None:
    with (
        pytest.raises(WrongUsage, match=re.escape("vllm_urls must name servers as http://host:8000/v1")),
        on(tmp_path, urls),
    ):
        pass


def test_without_a_model_nothing_is_missing(tmp_path: Path) -> None:
    with on(tmp_path) as web:
        assert web.client.get("/readyz").json() == {"status": "ready"}
        assert figures(web, "footnote_model_outstanding") == figures(web, "footnote_model_breaker_open") == {}


@pytest.mark.parametrize(
    ("servers", "ready"),
    [
        ((HEALTHY,), {"status": "ready"}),
        ((SILENT,), {"status": "ready", "degraded": ["model"]}),
        ((refuses(503),), {"status": "ready", "degraded": ["model"]}),
        ((refuses(200, b'{"data": [{"id": "other"}]}'),), {"status": "ready", "degraded": ["model"]}),
        ((SILENT, HEALTHY), {"status": "ready"}),
    ],
)
def test_readiness_says_whether_a_model_answers_and_stays_ready_without(
    tmp_path: Path, servers: tuple[Any, ...], ready: dict[str, Any]
) -> None:
    with (
        scripted_vllm(servers[0]) as first,
        scripted_vllm(servers[-1]) as second,
        on(tmp_path, *[first.url, second.url][: len(servers)], patience_s=0.2) as web,
    ):
        response = web.client.get("/readyz")

    assert (response.status_code, response.json()) == (200, ready)


def test_a_server_that_is_well_and_takes_another_key_writes_nothing(tmp_path: Path) -> None:
    with scripted_vllm(WELL, WELL, refuses(401)) as server, on(tmp_path, server.url, patience_s=0.2) as web:
        assert web.client.get("/readyz").json() == {"status": "ready", "degraded": ["model"]}


def test_a_model_that_is_gone_leaves_the_service_ready_and_answering_by_quotes(tmp_path: Path) -> None:
    with scripted_vllm(refuses(500)) as server, on(tmp_path, server.url) as web:
        answers = [ask(web) for _ in range(3)]

        assert all("27 days" in answer["answer"] and answer["mode"] == "extractive" for answer in answers)
        assert web.client.get("/readyz").json()["degraded"] == ["model"]
        # Twice it refused, once of that when the application warmed up; from then on nobody asks it.
        assert len(server.bodies) == 2 + 1  # and /health
        assert figures(web, "footnote_answers_degraded_total") == {"refused": 1.0, "left_out": 2.0}
        assert figures(web, "footnote_model_breaker_open") == {"0": 1.0}


def test_requests_under_way_are_shown_by_server(tmp_path: Path) -> None:
    with (
        scripted_vllm((HEAD, says("A"), Act.STALL)) as first,
        scripted_vllm(HEALTHY) as second,
        on(tmp_path, first.url, second.url, patience_s=0.2) as web,
    ):
        assert web.home.vllm
        pieces = web.home.vllm.stream([ChatMessage("user", "Hello.")], ChatRequest(9, 60, 60))
        next(pieces)

        assert figures(web, "footnote_model_outstanding") == {"0": 1.0, "1": 0.0}
        assert figures(web, "footnote_model_breaker_open") == {"0": 0.0, "1": 0.0}
        pieces.close()
