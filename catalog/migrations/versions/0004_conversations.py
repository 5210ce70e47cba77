"""Conversations and feedback."""

import sqlalchemy as sa
from alembic import op

import catalog.models

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("title", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", catalog.models.UtcTime(timezone=True), nullable=False),
        sa.Column("updated_at", catalog.models.UtcTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
    )
    op.create_index("ix_conversations_owner_updated_at", "conversations", ["owner", "updated_at"])
    op.create_table(
        "turns",
        sa.Column("conversation_id", sa.String(length=32), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("audit_id", sa.String(length=36), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("asked_at", catalog.models.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"], name=op.f("fk_turns_conversation_id")),
        sa.PrimaryKeyConstraint("conversation_id", "ordinal", name=op.f("pk_turns")),
    )
    op.create_table(
        "feedback",
        sa.Column("audit_id", sa.String(length=36), nullable=False),
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("verdict", sa.String(length=11), nullable=False),
        sa.Column("commented", sa.Boolean(), nullable=False),
        sa.Column("given_at", catalog.models.UtcTime(timezone=True), nullable=False),
        sa.CheckConstraint("verdict IN ('helpful', 'not_helpful')", name=op.f("ck_feedback_verdict")),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_feedback")),
    )
    op.create_index(op.f("ix_feedback_owner"), "feedback", ["owner"])
    op.create_index(op.f("ix_feedback_given_at"), "feedback", ["given_at"])
