"""Sources beyond folders: how they are reached, how far they were read, and the revision of each document."""

import sqlalchemy as sa
from alembic import op

import catalog.models

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = catalog.models.UtcTime(timezone=True)
    op.create_table(
        "connections",
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("secret", sa.String(length=255), nullable=True),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("listing", sa.Boolean(), nullable=False),
        sa.Column("syncs", sa.Integer(), nullable=False),
        sa.Column("permissions_at", moment, nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("problem_at", moment, nullable=True),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_connections_source_id")),
        sa.PrimaryKeyConstraint("source_id", name=op.f("pk_connections")),
    )
    op.create_table(
        "listed_documents",
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_listed_documents_source_id")),
        sa.PrimaryKeyConstraint("source_id", "external_id", name=op.f("pk_listed_documents")),
    )
    op.create_table(
        "mirrored_groups",
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("group_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_mirrored_groups_source_id")),
        sa.ForeignKeyConstraint(["group_id"], ["grantees.id"], name=op.f("fk_mirrored_groups_group_id")),
        sa.PrimaryKeyConstraint("source_id", "group_id", name=op.f("pk_mirrored_groups")),
    )
    op.create_index(op.f("ix_mirrored_groups_group_id"), "mirrored_groups", ["group_id"])
    op.create_table(
        "source_notices",
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("about", sa.String(length=11), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("about IN ('content', 'permissions', 'group')", name=op.f("ck_source_notices_about")),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_source_notices_source_id")),
        sa.PrimaryKeyConstraint("source_id", "about", "subject", name=op.f("pk_source_notices")),
    )
    for table in ("documents", "arrivals"):
        op.add_column(table, sa.Column("name", sa.Text(), nullable=False, server_default=""))
        op.add_column(table, sa.Column("revision", sa.Text(), nullable=False, server_default=""))
    op.add_column("sources", sa.Column("content_at", moment, nullable=True))
    op.add_column("arrivals", sa.Column("reference", sa.Text(), nullable=False, server_default=""))
    op.add_column("document_versions", sa.Column("replaced_set_id", sa.Integer(), nullable=True))
    op.add_column("schedules", sa.Column("paused", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_constraint(op.f("ck_jobs_state"), type_="check")
        jobs.create_check_constraint(
            op.f("ck_jobs_state"), "state IN ('queued', 'paused', 'running', 'done', 'dead', 'cancelled')"
        )
