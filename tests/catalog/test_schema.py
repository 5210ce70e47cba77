"""The catalog's schema is what the models say, on both databases."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from catalog import batches, conversations, jobs, schema, sensitive, slack, texts  # noqa: F401 - they declare tables
from catalog.database import Catalog, bump_epoch, open_engine
from catalog.models import Base
from core.errors import Conflict


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
