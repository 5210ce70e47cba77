"""Sensitive spans and redaction policies."""

import sqlalchemy as sa
from alembic import op

import catalog.models

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    version = ["document_versions.id"]
    op.create_table(
        "sensitive_scans",
        sa.Column("version_id", _ROW_ID, nullable=False),
        sa.Column("detector", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], version, name=op.f("fk_sensitive_scans_version_id")),
        sa.PrimaryKeyConstraint("version_id", name=op.f("pk_sensitive_scans")),
    )
    op.create_table(
        "sensitive_spans",
        sa.Column("version_id", _ROW_ID, nullable=False),
        sa.Column("start", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("category", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], version, name=op.f("fk_sensitive_spans_version_id")),
        sa.PrimaryKeyConstraint("version_id", "start", name=op.f("pk_sensitive_spans")),
    )
    op.create_table(
        "redaction_policies",
        sa.Column("grantee_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("policy", sa.String(length=8), nullable=False),
        sa.Column("changed_at", catalog.models.UtcTime(timezone=True), nullable=False),
        sa.CheckConstraint("policy IN ('open', 'standard', 'strict')", name=op.f("ck_redaction_policies_policy")),
        sa.ForeignKeyConstraint(["grantee_id"], ["grantees.id"], name=op.f("fk_redaction_policies_grantee_id")),
        sa.PrimaryKeyConstraint("grantee_id", name=op.f("pk_redaction_policies")),
    )
