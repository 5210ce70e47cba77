"""Alembic's entry: migrations run over the connection that `catalog.schema` hands in."""

from alembic import context

from catalog import batches, connections, conversations, jobs, labels, sensitive, slack, texts  # noqa: F401 - they declare tables
from catalog.models import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
