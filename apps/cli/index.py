"""Commands on the index, which is a cache of the catalog."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from apps.cli.shell import AsJson, administration, emit, opened_home, say
from catalog.lock import writer_lock
from core.errors import WrongUsage
from core.settings import EngineName
from ingest.moving import MoveReport
from retrieval.engines.switching import ENGINES, Place

app = typer.Typer(no_args_is_help=True)


@app.command()
def status(as_json: AsJson = False) -> None:
    """The present generation, how many chunks it holds, and which engine keeps it."""
    with opened_home() as home:
        snapshot = home.index_reader.snapshot()
        engine = home.engines.signpost.read().present.engine
        document = {"generation": snapshot.generation, "chunks": len(snapshot.rows()), "engine": engine}
    emit(
        as_json,
        document,
        lambda: say(f"generation {document['generation']} with {document['chunks']} chunks, in {engine}"),
    )


@app.command()
def rebuild(as_json: AsJson = False) -> None:
    """Write the whole index anew from the catalog, beside the old one, embedding what the model in use has not."""
    with opened_home() as home:
        administration(home).record("index.rebuild")
        with writer_lock(home.layout.lock, "rebuilding the index", timedelta(seconds=home.settings.writer_wait_s)):
            embedded = home.publisher.embed_missing()
            chunks = home.publisher.rebuild()
    document = {"chunks": chunks, "embedded": embedded}
    emit(as_json, document, lambda: say(f"The index holds {chunks} chunks; {embedded} were embedded anew."))


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Read every byte of the index, and every vector that another engine keeps of it; exit 1 if any is damaged."""
    with opened_home() as home:
        home.index_reader.verify()
        document = {"ok": True, "chunks": len(home.index_reader.snapshot().rows())}
    emit(as_json, document, lambda: say(f"The index of {document['chunks']} chunks is what was written."))


@app.command()
def move(
    to: Annotated[str, typer.Option("--to", metavar="ENGINE", help=f"Where to: {', '.join(ENGINES)}.")],
    as_json: AsJson = False,
) -> None:
    """Move the index to another engine while questions go on; it is switched to only if both hold the same."""
    engine = _engine(to)
    with opened_home() as home:
        administration(home).record("index.move", to=engine)
        with writer_lock(home.layout.lock, "moving the index", timedelta(seconds=home.settings.writer_wait_s)):
            report = home.mover.move(engine)
    emit(as_json, _document(report), lambda: _tell(report))
    if not report.same:
        raise typer.Exit(1)


def _engine(name: str) -> EngineName:
    for engine in ENGINES:
        if engine == name:
            return engine
    raise WrongUsage(f"{name!r} is no engine for an index; there are {', '.join(ENGINES)}.")


def _document(report: MoveReport) -> dict[str, object]:
    return {
        "switched": report.same,
        "from": _side(report.source, report.chunks, report.checksum),
        "to": _side(report.target, report.target_chunks, report.target_checksum),
        "differing_rows": list(report.differing),
        "seconds": round(report.seconds, 3),
    }


def _side(place: Place, chunks: int, checksum: str) -> dict[str, object]:
    return {"engine": place.engine, "chunks": chunks, "checksum": checksum}


def _tell(report: MoveReport) -> None:
    say(f"{report.source.engine}: {report.chunks} chunks, checksum {report.checksum}")
    say(f"{report.target.engine}: {report.target_chunks} chunks, checksum {report.target_checksum}")
    if report.same:
        say(
            f"The same: the index is in {report.target.engine} now, after {report.seconds:.1f} s. Its former place is "
            "emptied by the next compaction (`footnote compact`)."
        )
    else:
        rows = ", ".join(map(str, report.differing))
        say(
            f"Not the same, in rows {rows} among others: nothing was switched. Run `footnote index rebuild`, then move "
            "again."
        )
