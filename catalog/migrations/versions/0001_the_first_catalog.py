"""The first catalog."""

import sqlalchemy as sa
from alembic import op

import catalog.models

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "access_sets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_sets")),
        sa.UniqueConstraint("digest", name=op.f("uq_access_sets_digest")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("issuer", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", catalog.models.UtcTime(timezone=True), nullable=False),
        sa.Column("expires_at", catalog.models.UtcTime(timezone=True), nullable=True),
        sa.Column("revoked_at", catalog.models.UtcTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_table(
        "epoch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_epoch")),
    )
    op.create_table(
        "grantees",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("issuer", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("defined", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grantees")),
        sa.UniqueConstraint("kind", "issuer", "subject", name=op.f("uq_grantees_kind_issuer_subject")),
    )
    op.create_table(
        "sources",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=1024), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("allow", sa.JSON(), nullable=False),
        sa.Column("access_file", sa.Text(), nullable=True),
        sa.Column("created_at", catalog.models.UtcTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
        sa.UniqueConstraint("name", name=op.f("uq_sources_name")),
    )
    op.create_table(
        "vectors",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=128), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash", "fingerprint", name=op.f("pk_vectors")),
    )
    op.create_table(
        "access_entries",
        sa.Column("access_set_id", sa.Integer(), nullable=False),
        sa.Column("grantee_id", sa.Integer(), nullable=False),
        sa.Column("effect", sa.String(length=5), nullable=False),
        sa.CheckConstraint("effect IN ('allow', 'deny')", name=op.f("ck_access_entries_effect")),
        sa.ForeignKeyConstraint(["access_set_id"], ["access_sets.id"], name=op.f("fk_access_entries_access_set_id")),
        sa.ForeignKeyConstraint(["grantee_id"], ["grantees.id"], name=op.f("fk_access_entries_grantee_id")),
        sa.PrimaryKeyConstraint("access_set_id", "grantee_id", "effect", name=op.f("pk_access_entries")),
    )
    with op.batch_alter_table("access_entries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_access_entries_grantee_id"), ["grantee_id"], unique=False)

    op.create_table(
        "documents",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("media_type", sa.String(length=127), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("parser", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("source_set_id", sa.Integer(), nullable=False),
        sa.Column("access_set_id", sa.Integer(), nullable=False),
        sa.Column("failure_verdict", sa.String(length=16), nullable=True),
        sa.Column("failure_cause", sa.Text(), nullable=True),
        sa.Column("created_at", catalog.models.UtcTime(timezone=True), nullable=False),
        sa.Column("updated_at", catalog.models.UtcTime(timezone=True), nullable=False),
        sa.Column("changed_epoch", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('pending', 'ready', 'failed', 'deleted')", name=op.f("ck_documents_state")),
        sa.ForeignKeyConstraint(["access_set_id"], ["access_sets.id"], name=op.f("fk_documents_access_set_id")),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_documents_source_id")),
        sa.ForeignKeyConstraint(["source_set_id"], ["access_sets.id"], name=op.f("fk_documents_source_set_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_documents")),
        sa.UniqueConstraint("source_id", "external_id", name=op.f("uq_documents_source_id_external_id")),
    )
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_documents_access_set_id"), ["access_set_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_documents_changed_epoch"), ["changed_epoch"], unique=False)
        batch_op.create_index(batch_op.f("ix_documents_content_hash"), ["content_hash"], unique=False)
        batch_op.create_index("ix_documents_source_hash", ["source_id", "content_hash"], unique=False)
        batch_op.create_index(batch_op.f("ix_documents_version_id"), ["version_id"], unique=False)

    op.create_table(
        "memberships",
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["grantees.id"], name=op.f("fk_memberships_group_id")),
        sa.ForeignKeyConstraint(["member_id"], ["grantees.id"], name=op.f("fk_memberships_member_id")),
        sa.PrimaryKeyConstraint("group_id", "member_id", name=op.f("pk_memberships")),
    )
    with op.batch_alter_table("memberships", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_memberships_member_id"), ["member_id"], unique=False)

    op.create_table(
        "web_sessions",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("csrf", sa.String(length=64), nullable=False),
        sa.Column("expires_at", catalog.models.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_web_sessions_key_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_web_sessions")),
    )
    op.create_table(
        "document_versions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("document_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("created_at", catalog.models.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["documents.id"], name=op.f("fk_document_versions_document_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_document_versions")),
        sa.UniqueConstraint("document_id", "number", name=op.f("uq_document_versions_document_id_number")),
    )
    with op.batch_alter_table("document_versions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_document_versions_document_id"), ["document_id"], unique=False)

    op.create_table(
        "grants",
        sa.Column("document_id", sa.String(length=32), nullable=False),
        sa.Column("grantee_id", sa.Integer(), nullable=False),
        sa.Column("effect", sa.String(length=5), nullable=False),
        sa.Column("created_at", catalog.models.UtcTime(timezone=True), nullable=False),
        sa.CheckConstraint("effect IN ('allow', 'deny')", name=op.f("ck_grants_effect")),
        sa.ForeignKeyConstraint(["document_id"], ["documents.id"], name=op.f("fk_grants_document_id")),
        sa.ForeignKeyConstraint(["grantee_id"], ["grantees.id"], name=op.f("fk_grants_grantee_id")),
        sa.PrimaryKeyConstraint("document_id", "grantee_id", name=op.f("pk_grants")),
    )
    op.create_table(
        "chunks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("version_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("heading", sa.JSON(), nullable=False),
        sa.Column("header", sa.Text(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=True),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("vector_hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["document_versions.id"], name=op.f("fk_chunks_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chunks")),
        sa.UniqueConstraint("version_id", "ordinal", name=op.f("uq_chunks_version_id_ordinal")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("chunks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_chunks_vector_hash"), ["vector_hash"], unique=False)

    op.create_table(
        "version_texts",
        sa.Column("version_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["document_versions.id"], name=op.f("fk_version_texts_version_id")),
        sa.PrimaryKeyConstraint("version_id", name=op.f("pk_version_texts")),
    )
    op.execute("INSERT INTO epoch (id, value) VALUES (1, 0)")


def downgrade() -> None:
    op.drop_table("version_texts")
    with op.batch_alter_table("chunks", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_chunks_vector_hash"))

    op.drop_table("chunks")
    op.drop_table("grants")
    with op.batch_alter_table("document_versions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_document_versions_document_id"))

    op.drop_table("document_versions")
    op.drop_table("web_sessions")
    with op.batch_alter_table("memberships", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_memberships_member_id"))

    op.drop_table("memberships")
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_documents_version_id"))
        batch_op.drop_index("ix_documents_source_hash")
        batch_op.drop_index(batch_op.f("ix_documents_content_hash"))
        batch_op.drop_index(batch_op.f("ix_documents_changed_epoch"))
        batch_op.drop_index(batch_op.f("ix_documents_access_set_id"))

    op.drop_table("documents")
    with op.batch_alter_table("access_entries", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_access_entries_grantee_id"))

    op.drop_table("access_entries")
    op.drop_table("vectors")
    op.drop_table("sources")
    op.drop_table("grantees")
    op.drop_table("epoch")
    op.drop_table("api_keys")
    op.drop_table("access_sets")
