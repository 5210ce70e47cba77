"""Commands on the index, which is a cache of the catalog."""

from __future__ import annotations

from datetime import timedelta

import typer

from apps.cli.shell import AsJson, administration, emit, opened_home, say
from catalog.lock import writer_lock

app = typer.Typer(no_args_is_help=True)


@app.command()
def status(as_json: AsJson = False) -> None:
    """The present generation, and how many chunks it holds."""
    with opened_home() as home:
        snapshot = home.index_reader.snapshot()
        document = {"generation": snapshot.generation, "chunks": len(snapshot.rows())}
    emit(as_json, document, lambda: say(f"generation {document['generation']} with {document['chunks']} chunks"))


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
