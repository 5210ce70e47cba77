"""Labels of documents and of sources."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "document_labels",
        sa.Column("document_id", sa.String(length=32), nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["documents.id"], name=op.f("fk_document_labels_document_id")),
        sa.PrimaryKeyConstraint("document_id", "label", name=op.f("pk_document_labels")),
    )
    op.create_table(
        "source_labels",
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_source_labels_source_id")),
        sa.PrimaryKeyConstraint("source_id", "label", name=op.f("pk_source_labels")),
    )
