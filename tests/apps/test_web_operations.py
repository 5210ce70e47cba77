"""Readiness, metrics, logs, headers and the answer to a bug."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from web_home import LEAVE, WebHome, bearer, web_home

from apps.web import readiness
from apps.web.body_limit import JSON_BYTES
from apps.web.boundary import SECURITY_HEADERS
from core.settings import Settings
from retrieval.index.manifest import read_manifest, write_manifest
from retrieval.index.storage import Storage
from wiring.lifecycle import init_home

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebHome]:
    monkeypatch.setattr(readiness, "_KEPT_SECONDS", 0.0)
    with web_home(tmp_path / "home") as opened:
        yield opened


def not_ready(web: WebHome) -> list[str]:
    response = web.client.get("/readyz")
    assert response.status_code == (503 if "not_ready" in response.json() else 200)
    return list(response.json().get("not_ready", []))


def test_readiness_names_a_catalog_of_another_schema(web: WebHome) -> None:
    assert not_ready(web) == []
    with web.home.catalog.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'later'"))

    assert not_ready(web) == ["catalog"]


def test_readiness_names_an_index_of_a_later_version(web: WebHome) -> None:
    web.add("leave.md", LEAVE, "everyone")
    assert not_ready(web) == []
    manifest = read_manifest(web.home.layout.index)
    assert manifest is not None
    write_manifest(web.home.layout.index, replace(manifest, format=manifest.format + 1), Storage())

    assert not_ready(web) == ["index"]


@pytest.mark.parametrize("damage", ["gone", "closed", "no place to write"])
def test_readiness_names_an_audit_log_that_cannot_be_written(web: WebHome, damage: str) -> None:
    assert not_ready(web) == []
    if damage == "gone":
        web.home.layout.audit_database.unlink()
    elif damage == "closed":
        web.home.audit.close()
    else:
        web.home.layout.audit_folder.rename(web.home.layout.audit_folder.with_suffix(".away"))

    assert not_ready(web) == ["audit"]


def test_a_process_that_is_not_ready_is_still_alive(web: WebHome) -> None:
    web.home.audit.close()

    assert (web.client.get("/livez").status_code, web.client.get("/readyz").status_code) == (200, 503)


def test_metrics_count_answers_and_abstentions_and_name_nobody(web: WebHome) -> None:
    document_id = web.add("leave.md", LEAVE, "everyone")
    ana = bearer(web.key("user:ana"))
    answers = [
        web.client.post("/v1/ask", json={"question": question}, headers=ana).json()
        for question in ("How many days of annual leave do full-time employees have?", "Which asteroid is pink?")
    ]
    assert [answer["abstained"] for answer in answers] == [False, True]
    web.client.get(f"/v1/documents/{document_id}/text", headers=ana)

    page = web.client.get("/metrics", headers=bearer(web.administrator)).text
    samples = {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }

    assert samples["footnote_answers_total", ("extractive",)] == 1
    assert samples["footnote_abstentions_total", (answers[1]["reason"],)] == 1
    assert samples["footnote_audit_wait_seconds_count", ()] == 2
    assert samples["footnote_http_requests_total", ("/v1/ask", "200", "POST")] == 2
    assert ("footnote_http_requests_total", ("/v1/documents/{document_id}/text", "200", "GET")) in samples
    assert "ana" not in page.replace("annual", "") and document_id not in page and "leave" not in page


def test_a_made_up_method_or_address_makes_no_series_of_its_own(web: WebHome) -> None:
    web.client.request("SECRET", "/v1/ask")
    web.client.get("/ana/secret")

    page = web.client.get("/metrics", headers=bearer(web.administrator)).text

    assert "SECRET" not in page and "secret" not in page


def test_the_access_log_has_a_line_per_request_without_what_was_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with web_home(tmp_path / "home") as web:
        key = web.key("user:ana")
        response = web.client.post(
            "/v1/ask?also=pelican", json={"question": "Is a pelican on leave?"}, headers=bearer(key)
        )

    out, err = capsys.readouterr()
    line = json.loads(err.splitlines()[-1])
    assert out == ""
    assert line["request_id"] == response.headers["X-Request-Id"]
    assert (line["route"], line["status"], line["actor"]) == ("/v1/ask", 200, f"key:{key.split('_')[1]}")
    assert "pelican" not in err and key not in err


@pytest.mark.parametrize("path", ["/", "/livez", "/v1/me", "/v1/keys", "/nowhere", "/bug"])
def test_every_answer_carries_the_security_headers(web: WebHome, path: str) -> None:
    _add_bug(web)

    response = web.client.get(path, headers=bearer(web.administrator))

    assert {name: response.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert ("no-store" in response.headers.get("Cache-Control", "")) == path.startswith("/v1")


def test_a_bug_is_answered_without_its_details_and_logged_without_its_message(
    web: WebHome, capsys: pytest.CaptureFixture[str]
) -> None:
    _add_bug(web)

    response = web.client.get("/bug")

    assert response.status_code == 500
    assert response.headers["X-Request-Id"] in response.json()["detail"]
    assert "confidential" not in response.text
    assert web.client.get("/livez").status_code == 200
    logged = capsys.readouterr().err
    assert "confidential" not in logged


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/nowhere", 404), ("GET", "/v1/ask", 405)])
def test_a_wrong_address_or_method_is_a_problem_document(web: WebHome, method: str, path: str, status: int) -> None:
    response = web.client.request(method, path)

    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == response.status_code == status


def test_the_description_names_every_path_and_how_to_sign_in(web: WebHome) -> None:
    description = web.client.get("/openapi.json", headers=bearer(web.administrator)).json()

    assert {"/v1/ask", "/v1/search", "/v1/documents/{document_id}/text", "/v1/keys"} <= set(description["paths"])
    assert set(description["components"]["securitySchemes"]) == {"key", "cookie"}


def test_the_server_answers_refuses_by_length_stops_on_a_signal_and_keeps_stdout_clean(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", embedding_model="hashing")
    key = init_home(settings)
    program = (
        "import sys; from pathlib import Path; from core.settings import Settings\n"
        "from wiring.lifecycle import open_home\n"
        "from apps.web.server import serve\n"
        "with open_home(Settings(home=Path(sys.argv[1]), embedding_model='hashing')) as home:\n"
        "    serve(home, '127.0.0.1', 0, lambda url: print(url, file=sys.stderr, flush=True))\n"
        "print('closed', file=sys.stderr)\n"
    )
    with _running([sys.executable, "-c", program, str(settings.home)]) as process:
        assert process.stderr
        url = process.stderr.readline().strip()
        # The length alone is enough: this request never sends its body.
        length = f"Content-Length: {JSON_BYTES + 1}"
        head = ["POST /v1/session HTTP/1.1", "Host: x", "Content-Type: application/json", length, "", ""]
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as connection:
            connection.sendall("\r\n".join(head).encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 413")
        with httpx.Client(base_url=url) as client:
            assert client.get("/readyz").json() == {"status": "ready"}
            assert client.get("/v1/me", headers=dict(bearer(key))).json()["principal"] == "user:administrator"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (0, "")
    assert err.splitlines()[-1] == "closed"


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process of this project; ended, whatever the test made of it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _add_bug(web: WebHome) -> None:
    async def bug() -> None:
        raise RuntimeError("confidential")

    web.app.router.add_api_route("/bug", bug)
