"""Whatever takes an id answers alike for what is somebody else's and for what is not there: in bytes and in time."""

from __future__ import annotations

import asyncio
import gc
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.routing import iter_route_contexts
from web_home import LEAVE, MERGER, WebHome, bearer, web_home

from apps.batches import BatchDesk, read_questions
from catalog.job_queue import NewJob
from core.principals import parse_grantee, parse_principal
from governance.doors import Gate

# Each takes an id, of a document, a conversation, a batch or an answer, that may be somebody else's.
PRIVATE = {
    "GET /v1/documents/{document_id}": "document",
    "GET /v1/documents/{document_id}/text": "document",
    "GET /v1/documents/{document_id}/content": "document",
    "GET /v1/conversations/{conversation_id}": "conversation",
    "DELETE /v1/conversations/{conversation_id}": "conversation",
    "GET /v1/batches/{batch_id}": "batch",
    "GET /v1/batches/{batch_id}/results": "batch",
    "POST /v1/batches/{batch_id}/cancel": "batch",
    "DELETE /v1/batches/{batch_id}": "batch",
    "POST /v1/feedback": "answer",
    "POST /v1/search": "document",
    "POST /v1/ask": "document",
    "POST /v1/ask, conversation": "conversation",
    "POST /v1/chat/completions": "document",
}
# Each takes an id, and is refused to everybody who does not administer before the id is looked at.
ADMINISTRATION = {
    "GET /v1/documents/{document:path}/why": "document",
    "DELETE /v1/documents/{document_id}": "document",
    "PUT /v1/groups/{name:path}": "group",
    "DELETE /v1/groups/{name:path}": "group",
    "GET /v1/jobs/{job_id}": "job",
    "POST /v1/jobs/{job_id}/retry": "job",
    "POST /v1/jobs/{job_id}/cancel": "job",
    "POST /v1/jobs/{job_id}/pause": "job",
    "POST /v1/jobs/{job_id}/resume": "job",
    "GET /v1/sources/{source_id}": "source",
    "GET /v1/sources/{source_id}/failures": "source",
    "POST /v1/sources/{source_id}/sync": "source",
    "POST /v1/sources/{source_id}/pause": "source",
    "POST /v1/sources/{source_id}/resume": "source",
    "DELETE /v1/sources/{source_id}": "source",
    "PUT /v1/accounts/{account:path}": "account",
    "DELETE /v1/accounts/{account:path}": "account",
    "DELETE /v1/keys/{key_id}": "key",
}
# Their parameters are no ids, or there are none.
WITHOUT_ID = {
    *("GET /", "GET /{module}.js", "GET /style.css", "GET /icon.svg", "GET /livez", "GET /readyz", "GET /metrics"),
    *("GET /openapi.json", "POST /v1/session", "DELETE /v1/session", "GET /v1/me", "GET /v1/facets", "GET /v1/models"),
    *("POST /v1/conversations", "GET /v1/conversations", "GET /v1/batches", "POST /v1/batches", "GET /v1/feedback"),
    *("POST /v1/slack/links", "GET /v1/slack/links", "DELETE /v1/slack/links"),
    *("POST /v1/documents", "GET /v1/documents", "GET /v1/groups", "GET /v1/jobs", "GET /v1/sources"),
    *("POST /v1/sources", "GET /v1/sources/kinds", "GET /v1/accounts", "GET /v1/keys", "POST /v1/keys"),
}
QUESTION = "What is the agreed purchase price?"
# As long as those that are there, so that what differs is not the length of what was asked.
ABSENT = {
    "document": "0" * 32,
    "conversation": "0" * 32,
    "batch": "0" * 32,
    "answer": "00000000-0000-4000-8000-000000000000",
    "group": "stuff",
    "job": "0" * 32,
    "source": "9",
    "account": "user:nob",
    "key": "0" * 12,
}


@dataclass
class Stage:
    """A home in which Ana has one of everything, and Ben may read only the handbook."""

    web: WebHome
    hidden: Mapping[str, str]
    headers: Mapping[str, str]
    """Ben's."""

    def request(self, route: str, id_: str) -> dict[str, Any]:
        method, path = route.split(",")[0].split(" ")
        bodies: Mapping[str, dict[str, Any]] = {
            "POST /v1/feedback": {"audit_id": id_, "verdict": "helpful"},
            "POST /v1/search": {"query": QUESTION, "filters": {"document_ids": [id_]}},
            "POST /v1/ask": {"question": QUESTION, "filters": {"document_ids": [id_]}},
            "POST /v1/chat/completions": {
                "model": "footnote",
                "messages": [{"role": "user", "content": QUESTION}],
                "filters": {"document_ids": [id_]},
            },
            "POST /v1/ask, conversation": {"question": QUESTION, "conversation_id": id_},
            "PUT /v1/groups/{name:path}": {"members": []},
            "PUT /v1/accounts/{account:path}": {"person": "user:ana"},
        }
        url = re.sub(r"\{[^}]*\}", lambda _: id_, path)
        return {"method": method, "url": url, "json": bodies.get(route), "headers": dict(self.headers)}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with web_home(tmp_path_factory.mktemp("alike") / "home") as web:
        web.add("leave.md", LEAVE, "user:ben")
        ana = parse_principal("user:ana")
        document = web.add("merger.md", MERGER, "user:ana")
        desk, sheet = BatchDesk(web.home, ana, "test"), read_questions("q.csv", f"question\n{QUESTION}\n".encode())
        batch = desk.begin("q.csv", sheet, None)
        desk.load(batch, sheet, with_jobs=False)
        conversation = web.home.conversations.create(ana)
        administrator = bearer(web.administrator)
        web.client.put("/v1/groups/staff", json={"members": ["user:ana"]}, headers=administrator)
        web.client.put("/v1/accounts/user:crm", json={"person": "user:ana"}, headers=administrator)
        hidden = {
            "document": document,
            "conversation": conversation,
            "batch": batch,
            "answer": web.home.conversing.ask(QUESTION, ana, "test", conversation).audit_id,
            "group": "staff",
            "job": web.home.jobs.enqueue([NewJob("upkeep", "upkeep", "home")])[0],
            "source": "1",
            "account": "user:crm",
            "key": web.key("user:ana").split("_")[1],
        }
        yield Stage(web, hidden, bearer(web.key("user:ben", ["search", "ask", "read", "content"])))


def test_every_route_says_whether_it_takes_an_id(stage: Stage) -> None:
    contexts = iter_route_contexts(stage.web.app.routes)
    routes = {f"{method} {context.path}" for context in contexts for method in context.methods or ()}
    listed = {route.split(",")[0] for route in (*PRIVATE, *ADMINISTRATION)}
    assert routes == listed | WITHOUT_ID
    assert not listed & WITHOUT_ID
    assert all("_id}" not in route for route in WITHOUT_ID)


def told(stage: Stage, route: str, id_: str) -> tuple[int, dict[str, str], str]:
    """Everything in a response but the id that was asked for, and what is new in each response."""
    stage.web.client.cookies.clear()
    response = stage.web.client.request(**stage.request(route, id_))
    headers = {name: value for name, value in response.headers.items() if name not in ("date", "x-request-id")}
    text = response.text.replace(id_, "ID")
    text = re.sub(r'"id":\s*"chatcmpl-[^"]*"|"created":\s*\d+', "", text)
    text = re.sub(r'"(audit_id|request_id|instance|conversation_id)":\s*"[^"]*"', "", text)
    if '"timings_ms"' in text:  # how many digits these have is theirs
        del headers["content-length"]
    return response.status_code, headers, re.sub(r'"timings_ms":\s*\{[^}]*\}', "", text)


@pytest.mark.parametrize("route", [*PRIVATE, *ADMINISTRATION])
def test_what_is_somebody_elses_and_what_is_not_there_are_answered_in_the_same_bytes(stage: Stage, route: str) -> None:
    kind = (PRIVATE | ADMINISTRATION)[route]
    status, headers, text = told(stage, route, stage.hidden[kind])

    assert (status, headers, text) == told(stage, route, ABSENT[kind])
    assert status == (403 if route in ADMINISTRATION else 200 if "filters" in str(stage.request(route, "")) else 404)


PAIRS = 2_000
# How often one of these tests may fail where nothing tells the two apart: once in a thousand runs of all of them.
FALSE_ALARM = 1e-3 / len(PRIVATE)
SHUFFLES = 20_000


def distance(both: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """The Kolmogorov-Smirnov distance of two samples, for each row of signs: 1 where a value is of the first, else -1.

    `both` are the values of both samples.
    """
    walked = np.cumsum(signs[:, np.argsort(both, kind="stable")], axis=1, dtype=np.int32)
    return np.abs(walked).max(axis=1) / (len(both) / 2)


def p_value(first: np.ndarray, second: np.ndarray) -> float:
    """How probable such a distance is if each pair might as well have come the other way round.

    An exact permutation test: what the machine did meanwhile it did to both of a pair, and nothing is assumed of it.
    """
    random, both = np.random.default_rng(0), np.concatenate([first, second])
    found = distance(both, np.concatenate([np.ones(len(first)), -np.ones(len(second))])[None].astype(np.int8))[0]
    greater = 0
    for _ in range(0, SHUFFLES, 500):
        swapped = random.choice(np.array([1, -1], np.int8), (500, len(first)))
        greater += int((distance(both, np.concatenate([swapped, -swapped], axis=1)) >= found).sum())
    return (1 + greater) / (1 + SHUFFLES)


def spent(stage: Stage, route: str, pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Processor seconds of requests for what is hidden and for what is absent, in pairs, in random order within each.

    The processor's and not the clock's: the clock's are these and what else the machine was doing.
    """
    kind = PRIVATE[route]
    requests = [stage.request(route, id_) for id_ in (stage.hidden[kind], ABSENT[kind])]
    taken = np.empty((pairs, 2))

    async def measure() -> None:
        transport = httpx.ASGITransport(stage.web.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            for pair, first in enumerate(np.random.default_rng(1).integers(0, 2, pairs)):
                for which in (first, 1 - first):
                    began = time.process_time()
                    await client.request(**requests[which])
                    taken[pair, which] = time.process_time() - began

    asyncio.run(measure())
    return taken[:, 0], taken[:, 1]


@pytest.fixture
def without_collection() -> Iterator[None]:
    """Garbage is collected when the number of objects says so, which is in step with the pairs."""
    gc.disable()
    yield
    gc.enable()
    gc.collect()


@pytest.mark.deep
@pytest.mark.timeout(1_500)
@pytest.mark.usefixtures("without_collection")
@pytest.mark.parametrize("route", PRIVATE)
def test_what_is_somebody_elses_and_what_is_not_there_take_the_same_time(stage: Stage, route: str) -> None:
    spent(stage, route, 50)
    assert p_value(*spent(stage, route, PAIRS)) >= FALSE_ALARM


@pytest.mark.deep
@pytest.mark.usefixtures("without_collection")
def test_where_a_link_leads_takes_the_same_time_whether_something_hidden_stands_there_or_nothing(stage: Stage) -> None:
    """Anybody can write a link to a place that they guess, and ask for it by the name that they gave it."""
    home, ben = stage.web.home, parse_principal("user:ben")
    for number in range(400):
        stage.web.administration.set_group(parse_grantee(f"group:team-{number}"), [ben.grantee])
    keys, taken = ("merger", "nobody"), np.empty((PAIRS, 2))
    assert home.gate.placed(parse_principal("user:ana"), keys[:1]) and not home.gate.placed(ben, keys)
    for pair, first in enumerate(np.random.default_rng(1).integers(0, 2, PAIRS)):
        for which in (first, 1 - first):
            began = time.process_time()
            home.gate.placed(ben, keys[which : which + 1])
            taken[pair, which] = time.process_time() - began
    # What is left is the one row that is looked at and refused.
    assert abs(np.median(taken[:, 0]) / np.median(taken[:, 1]) - 1) < 0.1


@pytest.mark.deep
@pytest.mark.timeout(1_500)
@pytest.mark.usefixtures("without_collection")
def test_two_tenths_of_a_millisecond_more_for_what_is_hidden_would_be_found(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up: Callable[..., object] = Gate.document

    def slower(gate: Gate, principal: object, document_id: str) -> object:
        until = time.thread_time() + 2e-4
        while document_id == stage.hidden["document"] and time.thread_time() < until:
            pass
        return look_up(gate, principal, document_id)

    monkeypatch.setattr(Gate, "document", slower)
    assert p_value(*spent(stage, "GET /v1/documents/{document_id}", PAIRS)) < FALSE_ALARM


def test_samples_that_differ_are_told_apart_and_others_are_not() -> None:
    """Pairs of drifting, heavy-tailed times, as of a machine that does other things."""
    random = np.random.default_rng(7)
    drift = np.cumsum(random.normal(0, 0.02, PAIRS)) + random.pareto(2, PAIRS)
    first, second = (drift + random.gamma(2, 0.2, PAIRS) for _ in range(2))
    assert p_value(first, second) > 0.01
    assert p_value(first + 0.8, second) < FALSE_ALARM
