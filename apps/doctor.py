"""Looking a home over: every part asked whether it is well, without stopping at the first that is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass

from pyroaring import BitMap
from sqlalchemy import select

from catalog import schema
from catalog.database import our_errors
from catalog.models import ChunkRow
from core.errors import FootnoteError
from core.settings import Settings
from ingest.parsing.sandbox import SandboxedParser
from wiring.home import Home
from wiring.layout import require_home

_LOW_DISK_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is well, and the figure or the next step."""

    subject: str
    ok: bool
    detail: str


def examine(settings: Settings) -> list[Finding]:
    """One finding for each part of the home; raises nothing that a part could cause."""
    findings = [_finding("home", lambda: _home(settings))]
    if not findings[0].ok:
        return findings
    with Home(settings) as home:
        checks: dict[str, Callable[[], str]] = {
            "catalog": lambda: _catalog(home),
            "index": lambda: _index(home),
            "audit chain": lambda: _audit_chain(home),
            "encoder": lambda: _encoder(home),
            "reranker": lambda: _reranker(home),
            "parser": _parser,
            "disk": lambda: _disk(home),
        }
        findings += [_finding(subject, check) for subject, check in checks.items()]
    return findings


def _finding(subject: str, check: Callable[[], str]) -> Finding:
    try:
        with our_errors():
            return Finding(subject, True, check())
    except (FootnoteError, OSError, _Unwell) as error:
        return Finding(subject, False, str(error))


class _Unwell(Exception):
    """A part works, and something about it is wrong."""


def _home(settings: Settings) -> str:
    require_home(settings)
    return str(settings.home)


def _catalog(home: Home) -> str:
    schema.require_newest(home.catalog.engine)
    return f"at schema {schema.newest()}"


def _index(home: Home) -> str:
    home.index_reader.verify()
    snapshot = home.index_reader.snapshot()
    with home.catalog.read() as session:
        missing = BitMap(session.scalars(select(ChunkRow.id)).all()) - snapshot.rows()
    if missing:
        raise _Unwell(f"{len(missing)} chunks are not in the index: the next `footnote ingest` will add them")
    return f"generation {snapshot.generation}, {len(snapshot.rows())} chunks, checksums right"


def _audit_chain(home: Home) -> str:
    report = home.verify_audit()
    if not report.ok:
        raise _Unwell(str(report))
    return f"{report.records} records, none altered"


def _encoder(home: Home) -> str:
    home.encoder.encode_query("Is the encoder well?")
    return home.encoder.fingerprint


def _reranker(home: Home) -> str:
    if home.reranker is None:
        return "none is configured"
    home.reranker.scores("Is the reranker well?", ["It is."])
    return "answers"


def _parser() -> str:
    """Which layers of the kernel's hold around the process that reads documents (docs/formats.md, "Hostile files")."""
    with SandboxedParser() as parser:
        try:
            parser.parse(b"Is the parser well?", "well.txt")
        except RuntimeError as error:
            raise _Unwell(str(error)) from error
        layers = asdict(parser.confinement) if parser.confinement else {}
    missing = [name.replace("_", " ") for name, holds in layers.items() if not holds]
    return f"confined, but not by the kernel's layers: {', '.join(missing)}" if missing else "confined by every layer"


def _disk(home: Home) -> str:
    free = shutil.disk_usage(home.layout.folder).free
    if free < _LOW_DISK_BYTES:
        raise _Unwell(f"{free / 1e6:.0f} MB are free: without space no audit record and so no answer")
    return f"{free / 1e9:.1f} GB are free"
