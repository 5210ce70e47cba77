"""Readiness tells which server is gone, and that it is back."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis_server import RedisServer
from sqlalchemy import create_engine, make_url, text
from starlette.testclient import TestClient
from web_home import LEAVE, MERGER, WebHome, bearer, web_home

from apps.doctor import examine
from apps.web import readiness
from apps.web.app import create_app
from retrieval.index.manifest import MANIFEST, SEGMENTS, read_manifest
from wiring.lifecycle import open_home
from workers.embedded import embedded_workers


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_KEPT_SECONDS", 0.0)


def asked(web: WebHome) -> tuple[int, dict[str, Any]]:
    response = web.client.get("/readyz")
    return response.status_code, response.json()


def test_without_redis_questions_are_answered_and_readiness_says_that_jobs_wait(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    with web_home(tmp_path / "home", redis_url=redis_server.url) as web:
        web.add("leave.md", LEAVE, "everyone")
        assert asked(web) == (200, {"status": "ready"})
        redis_server.stop()

        assert asked(web) == (200, {"status": "ready", "degraded": ["redis"]})
        body = {"question": "How many days of annual leave do full-time employees have?"}
        answer = web.client.post("/v1/ask", json=body, headers=bearer(web.key("user:ana"))).json()
        assert "27 days" in answer["answer"]

        redis_server.start()
        assert asked(web) == (200, {"status": "ready"})


def deleted(index: Path) -> None:
    shutil.rmtree(index)


def flipped(index: Path) -> None:
    manifest = read_manifest(index)
    assert manifest is not None
    path = index / SEGMENTS / manifest.segments[0].id / "rows.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def torn(index: Path) -> None:
    path = index / MANIFEST
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize("damage", [deleted, flipped, torn])
def test_questions_are_answered_while_a_damaged_index_is_built_anew_by_itself(
    tmp_path: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with web_home(tmp_path / "home") as web:
        web.add("leave.md", LEAVE, "everyone")
        web.add("merger.md", MERGER, "user:ana")
        people = [bearer(web.key(person)) for person in ("user:ana", "user:ben")]
        before = [found(web, person) for person in people]
        assert before[0] != before[1]
        with open_home(web.home.settings) as restarted:
            damage(web.home.layout.index)
            again = replace(web, home=restarted, client=TestClient(create_app(restarted)))

            assert [found(again, person) for person in people] == before
            assert asked(again) == (200, {"status": "ready", "degraded": ["index"]})
            assert "index damaged" in capsys.readouterr().err
            assert [one.subject for one in examine(restarted.settings) if not one.ok] == ["index"]

            restarted.warm()
            with embedded_workers(restarted, 60):
                until(lambda: asked(again) == (200, {"status": "ready"}))
            restarted.index_reader.verify()
            assert [found(again, person) for person in people] == before
            assert [one for one in examine(restarted.settings) if not one.ok] == []


def found(web: WebHome, person: Mapping[str, str]) -> list[tuple[str, float]]:
    response = web.client.post(
        "/v1/search", json={"query": "annual leave and the agreed price", "k": 5}, headers=person
    )
    return [(hit["chunk_id"], hit["score"]) for hit in response.json()["hits"]]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_index_that_was_deleted_is_told_until_it_is_built_anew(tmp_path: Path) -> None:
    with web_home(tmp_path / "home") as web:
        assert asked(web) == (200, {"status": "ready"})
        web.add("leave.md", LEAVE, "everyone")
        assert asked(web) == (200, {"status": "ready"})
        shutil.rmtree(web.home.layout.index)

        assert asked(web) == (200, {"status": "ready", "degraded": ["index"]})
        web.add("merger.md", MERGER, "everyone")
        assert asked(web) == (200, {"status": "ready"})


@pytest.mark.parametrize(
    ("refusal", "consent", "missing"),
    [
        ("ALLOW_CONNECTIONS false", "ALLOW_CONNECTIONS true", ["catalog", "audit"]),
        # As a standby is, and a server whose disk was full.
        ("SET default_transaction_read_only = on", "RESET default_transaction_read_only", ["audit"]),
    ],
)
def test_a_database_that_takes_no_connection_or_no_record_is_not_ready_until_it_does(
    tmp_path: Path, postgres_url: str, postgres_server: str, refusal: str, consent: str, missing: list[str]
) -> None:
    with web_home(tmp_path / "home", database_url=postgres_url) as web:
        assert asked(web) == (200, {"status": "ready"})
        with altered(postgres_url, postgres_server, refusal, consent):
            status, problem = asked(web)
            assert (status, problem["code"], problem["not_ready"]) == (503, "not_ready", missing)
            assert web.client.get("/livez").status_code == 200
        assert asked(web) == (200, {"status": "ready"})


@contextmanager
def altered(url: str, server: str, refusal: str, consent: str) -> Iterator[None]:
    """The database altered while the block runs; its connections are ended, so that new ones see it."""
    name = make_url(url).database
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    ends = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")

    def alter(how: str) -> None:
        with engine.connect() as administrator:
            administrator.execute(text(f"ALTER DATABASE {name} {how}"))
            administrator.execute(ends, {"name": name})

    alter(refusal)
    try:
        yield
    finally:
        alter(consent)
        engine.dispose()
