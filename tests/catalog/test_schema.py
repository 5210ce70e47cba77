"""The catalog's schema is what the models say, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import IntegrityError

from catalog import (  # noqa: F401 - they declare tables
    batches,
    connections,
    conversations,
    database,
    jobs,
    labels,
    schema,
    sensitive,
    signatures,
    slack,
    texts,
)
from catalog.database import Catalog, bump_epoch, open_engine, sqlite_url
from catalog.models import Base
from core.errors import Conflict, Transient


def test_migrations_build_exactly_what_the_models_declare(catalog: Catalog) -> None:
    with catalog.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_database_of_another_version_is_refused_with_the_command_to_run(database_url: str) -> None:
    engine = open_engine(database_url)
    with pytest.raises(Conflict, match="footnote init"):
        schema.require_newest(engine)
    schema.migrate(engine)
    schema.require_newest(engine)
    with engine.execution_options(footnote_writes=True).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="newer Footnote"):
        schema.require_newest(engine)
    engine.dispose()


def test_an_epoch_taken_by_a_transaction_that_fails_is_not_seen(catalog: Catalog) -> None:
    with catalog.write() as session:
        first = bump_epoch(session)
    with pytest.raises(ZeroDivisionError), catalog.write() as session:
        bump_epoch(session)
        raise ZeroDivisionError
    with catalog.write() as session:
        assert bump_epoch(session) == first + 1


def test_a_database_that_is_gone_is_told_as_one_to_try_again() -> None:
    engine = open_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")

    for act in (schema.require_newest, schema.migrate):
        with pytest.raises(Transient, match="cannot be reached"):
            act(engine)


def test_a_catalog_whose_connections_are_all_in_use_is_told_as_busy(tmp_path: Path) -> None:
    engine = create_engine(sqlite_url(tmp_path / "c.db"), pool_size=1, max_overflow=0, pool_timeout=0.01)
    with engine.connect(), pytest.raises(Transient, match="in use"), Catalog(engine).read() as session:
        session.execute(text("SELECT 1"))
    engine.dispose()


def test_an_error_of_the_database_does_not_quote_what_was_written(catalog: Catalog) -> None:
    query = text("INSERT INTO vectors (hash, fingerprint, data) VALUES ('one', 'model', :data)")

    with pytest.raises(IntegrityError) as raised, catalog.write() as session:
        for _ in range(2):
            session.execute(query, {"data": b"zanzibarquokka"})

    assert "zanzibarquokka" not in str(raised.value.args) + str(raised.value)


def test_a_process_that_is_stopped_in_a_transaction_holds_nobody_up_for_long(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(postgres_url)
    schema.migrate(engine)
    # Of the stopped one's connection alone: on a slow machine anybody may pause for so long between two statements.
    with monkeypatch.context() as of_the_stopped:
        of_the_stopped.setattr(database, "IDLE_SECONDS", 0.5)
        impatient = open_engine(postgres_url)
        impatient.connect().close()

    with pytest.raises(Transient), Catalog(impatient).write() as stopped:
        bump_epoch(stopped)
        with Catalog(engine).write() as session:
            assert bump_epoch(session) == 1
        bump_epoch(stopped)
    impatient.dispose()
    engine.dispose()


@pytest.mark.parametrize(("said", "seconds"), [("", 10), ("?connect_timeout=3", "3")])
def test_a_server_that_is_not_there_is_waited_for_as_long_as_its_address_says(said: str, seconds: object) -> None:
    engine = open_engine(f"postgresql+psycopg://nobody@127.0.0.1:1/none{said}")
    given: dict[str, object] = {}
    event.listen(engine, "do_connect", lambda _dialect, _record, _arguments, parameters: given.update(parameters))

    with pytest.raises(Transient):
        schema.require_newest(engine)

    assert given["connect_timeout"] == seconds
    assert given["tcp_user_timeout"] == 30_000


def test_the_names_of_migrations_tell_what_their_chain_does() -> None:
    chain = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))

    assert schema.newest() == chain.get_current_head()
    assert schema._revisions() == {revision.revision for revision in chain.walk_revisions()}
