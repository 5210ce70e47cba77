"""Alembic's entry: migrations run over the connection that `catalog.schema` hands in."""

from alembic import context

from catalog.models import Base
from catalog.texts import VersionText

assert VersionText.metadata is Base.metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
