"""Signatures, by which near-duplicates are found."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    version = ["document_versions.id"]
    op.create_table(
        "signatures",
        sa.Column("version_id", _ROW_ID, nullable=False),
        sa.Column("made_by", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], version, name=op.f("fk_signatures_version_id")),
        sa.PrimaryKeyConstraint("version_id", name=op.f("pk_signatures")),
    )
    op.create_table(
        "signature_bands",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version_id", _ROW_ID, nullable=False),
        sa.ForeignKeyConstraint(["version_id"], version, name=op.f("fk_signature_bands_version_id")),
        sa.PrimaryKeyConstraint("key", "version_id", name=op.f("pk_signature_bands")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_signature_bands_version_id"), "signature_bands", ["version_id"])
