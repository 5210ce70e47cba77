"""Links between documents, and the keys by which the places they lead to are found."""

import sqlalchemy as sa
from alembic import op

from core.places import address_steps, place_key, steps_of

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_AT_ONCE = 1_000


def upgrade() -> None:
    op.create_table(
        "links",
        sa.Column("chunk_id", _ROW_ID, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["chunk_id"], ["chunks.id"], name=op.f("fk_links_chunk_id")),
        sa.PrimaryKeyConstraint("chunk_id", "number", name=op.f("pk_links")),
        sqlite_with_rowid=False,
    )
    op.add_column("documents", sa.Column("place_key", sa.Text(), nullable=True))
    op.add_column("documents", sa.Column("address_key", sa.Text(), nullable=True))
    _fill_in()
    op.create_index(op.f("ix_documents_place_key"), "documents", ["place_key"])
    op.create_index(op.f("ix_documents_address_key"), "documents", ["address_key"])


def _fill_in() -> None:
    documents = sa.table("documents", *map(sa.column, ("id", "external_id", "uri", "place_key", "address_key")))
    connection = op.get_bind()
    there = connection.execute(sa.select(documents.c.id, documents.c.external_id, documents.c.uri)).all()
    keys = [
        {
            "one": document_id,
            "place": place_key(steps_of(external_id)),
            "address": place_key(address_steps(uri)),
        }
        for document_id, external_id, uri in there
    ]
    filled = (
        sa.update(documents)
        .where(documents.c.id == sa.bindparam("one"))
        .values(place_key=sa.bindparam("place"), address_key=sa.bindparam("address"))
    )
    for at in range(0, len(keys), _AT_ONCE):
        connection.execute(filled, keys[at : at + _AT_ONCE])
