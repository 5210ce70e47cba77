"""Every route, every kind of caller, the status each gets. A route without a row fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from web_home import LEAVE, MERGER, WebHome, bearer, web_home

from apps.batches import BatchDesk, read_questions
from apps.work import Work
from catalog.job_queue import NewJob
from core.principals import parse_principal
from governance.identity import SCOPES, create_key
from ingest.sources import SourceRequest

# Columns. nobody: no credential. bad, expired, revoked: keys that do not hold. poser: a person's key that names
# somebody else without act-as. person: may read the document. other: the same scopes, may not read it.
# deputy: an act-as key speaking for itself. as_ana: the same key on behalf of the person. admin: the first key.
# forged: a cookie of a key with every scope, without the CSRF token. cookie: the same with it.
MATRIX = """
                                        nobody bad expired revoked poser person other deputy as_ana admin forged cookie
GET /                                   200    200 200     200     200   200    200   200    200    200   200    200
GET /{module}.js                        200    200 200     200     200   200    200   200    200    200   200    200
GET /style.css                          200    200 200     200     200   200    200   200    200    200   200    200
GET /icon.svg                           200    200 200     200     200   200    200   200    200    200   200    200
GET /livez                              200    200 200     200     200   200    200   200    200    200   200    200
GET /readyz                             200    200 200     200     200   200    200   200    200    200   200    200
GET /metrics                            401    401 401     401     403   403    403   403    403    200   200    200
GET /openapi.json                       401    401 401     401     403   200    200   200    200    200   200    200
POST /v1/session                        200    200 200     200     200   200    200   200    200    200   200    200
DELETE /v1/session                      401    401 401     401     403   204    204   204    204    204   403    204
GET /v1/me                              401    401 401     401     403   200    200   200    200    200   200    200
POST /v1/search                         401    401 401     401     403   200    200   200    200    403   403    200
GET /v1/facets                          401    401 401     401     403   200    200   200    200    403   200    200
POST /v1/ask                            401    401 401     401     403   200    200   200    200    403   403    200
POST /v1/conversations                  401    401 401     401     403   201    201   201    201    403   403    201
GET /v1/conversations                   401    401 401     401     403   200    200   200    200    403   200    200
GET /v1/conversations/{conversation_id} 401    401 401     401     403   200    404   404    200    403   200    200
DELETE /v1/conversations/{conversation_id} 401 401 401     401     403   204    404   404    204    403   403    204
GET /v1/batches                         401    401 401     401     403   200    200   200    200    403   200    200
POST /v1/batches                        401    401 401     401     403   201    201   201    201    403   403    201
GET /v1/batches/{batch_id}              401    401 401     401     403   200    404   404    200    403   200    200
GET /v1/batches/{batch_id}/results      401    401 401     401     403   200    404   404    200    403   200    200
POST /v1/batches/{batch_id}/cancel      401    401 401     401     403   204    404   404    204    403   403    204
DELETE /v1/batches/{batch_id}           401    401 401     401     403   204    404   404    204    403   403    204
POST /v1/feedback                       401    401 401     401     403   204    404   404    204    403   403    204
GET /v1/feedback                        401    401 401     401     403   403    403   403    403    200   200    200
POST /v1/chat/completions               401    401 401     401     403   200    200   200    200    403   403    200
GET /v1/models                          401    401 401     401     403   200    200   200    200    403   200    200
POST /v1/slack/links                    401    401 401     401     403   201    201   201    201    403   403    201
GET /v1/slack/links                     401    401 401     401     403   200    200   200    200    403   200    200
DELETE /v1/slack/links                  401    401 401     401     403   204    204   204    204    403   403    204
POST /v1/documents                      401    401 401     401     403   403    403   403    403    201   403    201
GET /v1/documents                       401    401 401     401     403   200    200   200    200    403   200    200
GET /v1/documents/{document_id}         401    401 401     401     403   200    404   404    200    403   200    200
GET /v1/documents/{document_id}/text    401    401 401     401     403   200    404   404    200    403   200    200
GET /v1/documents/{document_id}/content 401    401 401     401     403   200    404   404    200    403   200    200
GET /v1/documents/{document:path}/why   401    401 401     401     403   403    403   403    403    200   200    200
DELETE /v1/documents/{document_id}      401    401 401     401     403   403    403   403    403    204   403    204
GET /v1/groups                          401    401 401     401     403   403    403   403    403    200   200    200
PUT /v1/groups/{name:path}              401    401 401     401     403   403    403   403    403    200   403    200
DELETE /v1/groups/{name:path}           401    401 401     401     403   403    403   403    403    204   403    204
GET /v1/jobs                            401    401 401     401     403   403    403   403    403    200   200    200
GET /v1/jobs/{job_id}                   401    401 401     401     403   403    403   403    403    200   200    200
POST /v1/jobs/{job_id}/retry            401    401 401     401     403   403    403   403    403    200   403    200
POST /v1/jobs/{job_id}/cancel           401    401 401     401     403   403    403   403    403    200   403    200
POST /v1/jobs/{job_id}/pause            401    401 401     401     403   403    403   403    403    200   403    200
POST /v1/jobs/{job_id}/resume           401    401 401     401     403   403    403   403    403    200   403    200
GET /v1/sources                         401    401 401     401     403   403    403   403    403    200   200    200
POST /v1/sources                        401    401 401     401     403   403    403   403    403    202   403    202
GET /v1/sources/kinds                   401    401 401     401     403   403    403   403    403    200   200    200
GET /v1/sources/{source_id}             401    401 401     401     403   403    403   403    403    200   200    200
POST /v1/sources/{source_id}/sync       401    401 401     401     403   403    403   403    403    202   403    202
GET /v1/sources/{source_id}/failures    401    401 401     401     403   403    403   403    403    200   200    200
POST /v1/sources/{source_id}/pause      401    401 401     401     403   403    403   403    403    200   403    200
POST /v1/sources/{source_id}/resume     401    401 401     401     403   403    403   403    403    200   403    200
DELETE /v1/sources/{source_id}          401    401 401     401     403   403    403   403    403    204   403    204
GET /v1/accounts                        401    401 401     401     403   403    403   403    403    200   200    200
PUT /v1/accounts/{account:path}         401    401 401     401     403   403    403   403    403    200   403    200
DELETE /v1/accounts/{account:path}      401    401 401     401     403   403    403   403    403    204   403    204
GET /v1/keys                            401    401 401     401     403   403    403   403    403    200   200    200
POST /v1/keys                           401    401 401     401     403   403    403   403    403    201   403    201
DELETE /v1/keys/{key_id}                401    401 401     401     403   403    403   403    403    204   403    204
"""
CALLERS, *LINES = [line.split() for line in MATRIX.strip("\n").splitlines()]
CELLS = [
    (method, path, caller, int(code))
    for method, path, *codes in LINES
    for caller, code in zip(CALLERS, codes, strict=True)
]


CHAT = {"model": "footnote", "messages": [{"role": "user", "content": "What is the agreed purchase price?"}]}


QUESTIONS = b"question\nWhat is the agreed purchase price?\n"


def begun_batch(web: WebHome) -> str:
    """A batch of the person's that waits."""
    desk, sheet = BatchDesk(web.home, parse_principal("user:ana"), "test"), read_questions("questions.csv", QUESTIONS)
    batch_id = desk.begin("questions.csv", sheet, None)
    desk.load(batch_id, sheet, with_jobs=False)
    return batch_id


def queued_job(web: WebHome, cancelled: bool) -> str:
    """A job that waits, or one that can be retried."""
    [job_id] = web.home.jobs.enqueue([NewJob("upkeep", "upkeep", "home")])
    if cancelled:
        web.home.jobs.cancel(job_id)
    return job_id


def standing_source(web: WebHome) -> str:
    request = SourceRequest("standing", web.folder, [], None, None, False)
    return str(Work(web.administration).add_source(request)[0].source_id)


@dataclass
class Stage:
    """The home of the matrix, its document, the person's conversation with its answer, their batch, and its keys."""

    web: WebHome
    document_id: str
    conversation_id: str
    batch_id: str
    audit_id: str
    keys: Mapping[str, str]

    def headers(self, caller: str) -> Mapping[str, str]:
        """What a caller sends to be known."""
        on_behalf = {"Footnote-On-Behalf-Of": "user:ana"}
        if caller == "nobody":
            return {}
        if caller == "poser":
            return {**bearer(self.keys["person"]), **on_behalf}
        if caller == "as_ana":
            return {**bearer(self.keys["deputy"]), **on_behalf}
        if caller in ("forged", "cookie"):
            headers = dict(self.web.signed_in(self.keys["all"]))
            return {"Cookie": headers["Cookie"]} if caller == "forged" else headers
        return bearer(self.keys[caller])

    def request(self, method: str, path: str, consumed: bool) -> dict[str, Any]:
        """A request that would succeed for somebody who may; `consumed` says that it will, and use its object up."""
        route = f"{method} {path}"
        bodies: Mapping[str, dict[str, Any]] = {
            "POST /v1/session": {"json": {"key": self.keys["person"]}},
            "POST /v1/search": {"json": {"query": "purchase price"}},
            "POST /v1/ask": {"json": {"question": "What is the agreed purchase price?"}},
            "POST /v1/feedback": {"json": {"audit_id": self.audit_id, "verdict": "helpful"}},
            "POST /v1/chat/completions": {"json": CHAT},
            "PUT /v1/groups/{name:path}": {"json": {"members": ["user:ana"]}},
            "POST /v1/sources": {"json": {"path": str(self.web.folder), "name": "folder"}},
            "PUT /v1/accounts/{account:path}": {"json": {"person": "user:ana"}},
            "POST /v1/keys": {"json": {"name": "ben", "principal": "user:ben", "scopes": ["ask"]}},
        }
        if route == "POST /v1/batches":
            return {"url": path, "files": {"file": ("questions.csv", QUESTIONS)}}
        if route == "POST /v1/documents":
            name = f"{len(self.web.administration.documents())}.md"
            return {"url": path, "files": {"file": (name, LEAVE)}, "data": {"allow": "user:ana"}}
        return {"url": self._filled(route, path, consumed), **bodies.get(route, {})}

    def _filled(self, route: str, path: str, consumed: bool) -> str:
        """The path with its parameter; something of its own where the request will use it up."""
        document_id, key_id, conversation_id = self.document_id, "0" * 12, self.conversation_id
        batch_id = begun_batch(self.web) if "{batch_id}" in route and consumed else self.batch_id
        if route == "DELETE /v1/conversations/{conversation_id}" and consumed:
            conversation_id = self.web.home.conversations.create(parse_principal("user:ana"))
        if route == "DELETE /v1/documents/{document_id}" and consumed:
            document_id = self.web.add("doomed.md", LEAVE, "user:ana")
        if route == "DELETE /v1/keys/{key_id}" and consumed:
            key_id = self.web.key("user:ben").split("_")[1]
        if route == "DELETE /v1/groups/{name:path}" and consumed:
            self.web.client.put("/v1/groups/staff", json={"members": []}, headers=self.headers("admin"))
        if route == "DELETE /v1/accounts/{account:path}" and consumed:
            account = "/v1/accounts/user:crm|7"
            self.web.client.put(account, json={"person": "user:ana"}, headers=self.headers("admin"))
        values = {
            "{account:path}": "user:crm|7",
            "{batch_id}": batch_id,
            "{document_id}": document_id,
            "{document:path}": "merger.md",
            "{key_id}": key_id,
            "{conversation_id}": conversation_id,
            "{job_id}": queued_job(self.web, cancelled=route.endswith("retry")) if "{job_id}" in route else "",
            "{source_id}": standing_source(self.web) if "{source_id}" in route else "",
            "{name:path}": "staff",
            "{module}": "app",
        }
        for parameter, value in values.items():
            path = path.replace(parameter, value)
        return path


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with web_home(tmp_path_factory.mktemp("matrix") / "home") as web:
        reader = ["search", "ask", "read", "content"]
        with web.home.catalog.write() as session:
            _, expired = create_key(session, "expired", parse_principal("user:ana"), SCOPES, timedelta(seconds=-1))
        revoked = web.key("user:ana", SCOPES)
        web.administration.revoke_key(revoked.split("_")[1])
        keys = {
            "bad": web.administrator[:-1] + ("a" if web.administrator[-1] != "a" else "b"),
            "expired": expired,
            "revoked": revoked,
            "person": web.key("user:ana", reader),
            "other": web.key("user:ben", reader),
            "deputy": web.key("user:portal", [*reader, "act-as"]),
            "admin": web.administrator,
            "all": web.key("user:ana", SCOPES),
        }
        document_id = web.add("merger.md", MERGER, "user:ana")
        ana = parse_principal("user:ana")
        conversation_id = web.home.conversations.create(ana)
        answer = web.home.conversing.ask("What is the agreed purchase price?", ana, "test", conversation_id)
        yield Stage(web, document_id, conversation_id, begun_batch(web), answer.audit_id, keys)


def test_every_route_has_a_row_in_the_matrix(stage: Stage) -> None:
    contexts = iter_route_contexts(stage.web.app.routes)
    routes = {(method, context.path) for context in contexts for method in context.methods or ()}
    assert routes == {(method, path) for method, path, *_ in LINES}


@pytest.mark.parametrize(("method", "path", "caller", "code"), CELLS)
def test_each_caller_gets_what_the_matrix_says(stage: Stage, method: str, path: str, caller: str, code: int) -> None:
    stage.web.client.cookies.clear()
    request = stage.request(method, path, consumed=code == 204)
    headers = stage.headers(caller)

    response = stage.web.client.request(method, headers=headers, **request)

    assert response.status_code == code, response.text
    if code in (401, 403, 404):
        dialect = path in ("/v1/chat/completions", "/v1/models")
        assert response.headers["Content-Type"] == ("application/json" if dialect else "application/problem+json")
        assert ("error" in response.json()) == dialect
        assert "18 million" not in response.text
