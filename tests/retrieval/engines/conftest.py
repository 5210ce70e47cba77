"""One index of its own for each test, on every engine; Milvus is served by a process as a cluster would serve it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engines_under_test import READERS, EngineUnderTest
from sqlalchemy import create_engine, make_url, text

_PATIENCE_S = 60.0


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Milvus Lite that was started for this test run, in a process of its own."""
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("milvus")
    serve = [sys.executable, "-m", "milvus_lite", "server", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*serve, "--data-dir", str(folder / "data")], stdout=log, stderr=log)
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert server.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(_PATIENCE_S)


@pytest.fixture(scope="session")
def index_database(postgres_server: str) -> str:
    """The URL of a database that is used by one index after another, each under a name of its own."""
    admin = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE indexes"))
    admin.dispose()
    return make_url(postgres_server).set(database="indexes").render_as_string(hide_password=False)


@pytest.fixture(params=sorted(READERS))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> EngineUnderTest:
    servers = {"pgvector": "index_database", "milvus": "milvus_server"}
    name = str(request.param)
    place = request.getfixturevalue(servers[name]) if name in servers else ""
    return EngineUnderTest(name, place, tmp_path)
