"""A source that mirrors a scripted system, and the words to sync it with."""

from __future__ import annotations

import pytest
from scripted_system import ScriptedSystem, grantee

from core.principals import Principal, parse_grantee, parse_principal
from governance.access import mirrored as accounts
from ingest.ledger import Ledger
from ingest.mirroring import Synced, ingesting
from ingest.report import IngestReport
from ingest.sources import SystemRequest, stand_system
from wiring.connectors import KINDS
from wiring.home import Home
from wiring.mirrors import mirrored
from workers.run import run_next
from workers.sweeping import sync_job

ANA, BEN, EVE = (parse_principal(f"user:{name}") for name in ("ana", "ben", "eve"))


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> ScriptedSystem:
    system = ScriptedSystem()
    monkeypatch.setitem(KINDS, "scripted", system.kind)
    return system


@pytest.fixture
def source(home: Home, system: ScriptedSystem) -> int:
    """The system as a source, whose accounts `ana` and `ben` belong to the people of these names."""
    for name in ("ana", "ben"):
        own(home, name)
    return stand_system(home.catalog, SystemRequest("papers", "scripted", {}, None, (), None, None))


def own(home: Home, name: str) -> None:
    with home.catalog.write() as session:
        accounts.link_account(session, parse_grantee(f"user:{name}"), grantee(f"person:{name}"))


def sync(home: Home, source_id: int) -> None:
    """A sync by workers, and everything it has queued."""
    home.jobs.enqueue([sync_job(source_id)])
    work(home)


def work(home: Home) -> None:
    while run_next(home, ["ingest"]):
        pass


def bring_in(home: Home, source_id: int, *, force: bool = False) -> tuple[Synced, IngestReport]:
    """A sync in this process, as the command line does it."""
    connection = home.connections.find(source_id)
    assert connection is not None
    report = IngestReport(connection.name)
    with mirrored(home, connection, Ledger(home.catalog, connection.name, connection.uri)) as mirror:
        done = mirror.sync(ingesting(mirror, report, lambda *_: None), force)
    return done, report


def reads(home: Home, who: Principal) -> set[str]:
    return {view.external_id for view in home.gate.documents(who)}
