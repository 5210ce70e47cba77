"""Jobs, arrivals and schedules."""

import sqlalchemy as sa
from alembic import op

import catalog.models

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    time = catalog.models.UtcTime(timezone=True)
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("queue", sa.String(length=16), nullable=False),
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("group_id", sa.String(length=64), nullable=True),
        sa.Column("once_key", sa.String(length=128), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.String(length=255), nullable=True),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("not_before", time, nullable=False),
        sa.Column("lease_until", time, nullable=True),
        sa.Column("created_at", time, nullable=False),
        sa.Column("started_at", time, nullable=True),
        sa.Column("finished_at", time, nullable=True),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'dead', 'cancelled')", name=op.f("ck_jobs_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("once_key", name=op.f("uq_jobs_once_key")),
    )
    op.create_index("ix_jobs_turn", "jobs", ["state", "queue", "priority", "created_at", "id"])
    op.create_index(op.f("ix_jobs_group_id"), "jobs", ["group_id"])
    op.create_index(op.f("ix_jobs_subject_id"), "jobs", ["subject_id"])
    op.create_table(
        "arrivals",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("blob", sa.String(length=64), nullable=True),
        sa.Column("access_set_id", sa.Integer(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_arrivals_source_id")),
        sa.ForeignKeyConstraint(["access_set_id"], ["access_sets.id"], name=op.f("fk_arrivals_access_set_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_arrivals")),
        sa.UniqueConstraint("source_id", "external_id", name=op.f("uq_arrivals_source_id_external_id")),
    )
    op.create_table(
        "schedules",
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("every_s", sa.Integer(), nullable=True),
        sa.Column("prune", sa.Boolean(), nullable=False),
        sa.Column("due_at", time, nullable=True),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_schedules_source_id")),
        sa.PrimaryKeyConstraint("source_id", name=op.f("pk_schedules")),
    )
    op.create_index(op.f("ix_schedules_due_at"), "schedules", ["due_at"])
