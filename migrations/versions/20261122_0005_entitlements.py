"""What users may do, its history, and what is still to be told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    _manual_grants()
    _documents()
    _entitlements()
    _entitlement_history()
    _outbox()
    _relay_leases()


def downgrade() -> None:
    op.drop_table("relay_leases")
    op.drop_table("outbox")
    op.drop_table("entitlement_history")
    op.drop_table("entitlements")
    op.drop_table("documents")
    op.drop_table("manual_grants")


def _manual_grants() -> None:
    op.create_table(
        "manual_grants",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_ref", sa.BigInteger(), nullable=False),
        sa.Column("feature_code", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True, comment="null: for life"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("revoke_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("(revoked_at IS NULL) = (revoked_by IS NULL)", name=op.f("ck_manual_grants_revocation")),
        sa.CheckConstraint("valid_to IS NULL OR valid_from < valid_to", name=op.f("ck_manual_grants_period")),
        sa.ForeignKeyConstraint(["user_ref"], ["users.id"], name=op.f("fk_manual_grants_user_ref")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_manual_grants")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_manual_grants_idempotency_key")),
        comment="Never deleted: a revocation says when, by whom and why.",
    )
    op.create_index("ix_manual_grants_user_ref", "manual_grants", ["user_ref"], unique=False)


def _documents() -> None:
    op.create_table(
        "documents",
        sa.Column("user_ref", sa.BigInteger(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False, comment="The project's revision that last changed it"),
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=False,
            comment="Its part in the project's digest; zeros where it is empty",
        ),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_empty", sa.Boolean(), nullable=False),
        sa.Column(
            "body", sa.JSON(), nullable=False, comment="The document's entitlements, in its public shape and order"
        ),
        sa.CheckConstraint("octet_length(digest) = 16", name=op.f("ck_documents_digest_length")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_documents_project_id")),
        sa.ForeignKeyConstraint(["user_ref"], ["users.id"], name=op.f("fk_documents_user_ref")),
        sa.PrimaryKeyConstraint("user_ref", name=op.f("pk_documents")),
        comment="Written only under the project's lock, together with history, outbox and the project's digest. Never deleted: who lost everything has an empty document. Its epoch is its project's.",
    )
    op.create_index("ix_documents_project_id_user_ref", "documents", ["project_id", "user_ref"], unique=False)


def _entitlements() -> None:
    op.create_table(
        "entitlements",
        sa.Column("user_ref", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column(
            "position",
            sa.SmallInteger(),
            nullable=False,
            comment="Order in the document, from 0; best first within a feature",
        ),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("feature_code", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_ref", sa.Text(), nullable=False, comment="sub_…, cs_… or a manual grant's id"),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True, comment="null: for life"),
        sa.Column("value", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint("source IN ('subscription', 'purchase', 'manual')", name=op.f("ck_entitlements_source")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_entitlements_project_id")),
        sa.ForeignKeyConstraint(["user_ref"], ["users.id"], name=op.f("fk_entitlements_user_ref")),
        sa.PrimaryKeyConstraint("user_ref", "revision", "position", name=op.f("pk_entitlements")),
        comment="Current rows only, the same that documents.body holds. It grants while valid_from <= now < valid_to.",
    )
    op.create_index(
        "ix_entitlements_project_id_feature_code", "entitlements", ["project_id", "feature_code"], unique=False
    )
    op.create_index("ix_entitlements_project_id_user_id", "entitlements", ["project_id", "user_id"], unique=False)


def _entitlement_history() -> None:
    op.create_table(
        "entitlement_history",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("user_ref", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("catalog_version", sa.BigInteger(), nullable=False),
        sa.Column(
            "cause",
            sa.Text(),
            nullable=False,
            comment="evt_…, confirm:cs_…, grant:…, catalog:…, reconcile:…, operator:…",
        ),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_entitlement_history_project_id")),
        sa.ForeignKeyConstraint(["user_ref"], ["users.id"], name=op.f("fk_entitlement_history_user_ref")),
        sa.PrimaryKeyConstraint("project_id", "epoch", "revision", name=op.f("pk_entitlement_history")),
        comment="Append-only, one row for each revision that changed a document: the past can be read back from it.",
    )
    op.create_index(
        "ix_entitlement_history_user_ref_recorded_at", "entitlement_history", ["user_ref", "recorded_at"], unique=False
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("user_ref", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.JSON(), nullable=False, comment="The whole document or catalogue, in its public shape"),
        sa.Column("user_count", sa.BigInteger(), nullable=False, comment="Non-empty documents after this revision"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="The project's digest after this revision"),
        sa.Column(
            "received_at", sa.DateTime(timezone=True), nullable=True, comment="When what caused it reached the writer"
        ),
        sa.Column("committed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("op IN ('user', 'catalog')", name=op.f("ck_outbox_op")),
        sa.CheckConstraint("octet_length(digest) = 16", name=op.f("ck_outbox_digest_length")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_outbox_project_id")),
        sa.ForeignKeyConstraint(["user_ref"], ["users.id"], name=op.f("fk_outbox_user_ref")),
        sa.PrimaryKeyConstraint("project_id", "epoch", "revision", name=op.f("pk_outbox")),
        comment="Written in the transaction of its revision. Kept for a while after it was relayed, because sidecars that cannot reach Redis read it; then trimmed from the oldest on, so what is left has no gap.",
    )


def _relay_leases() -> None:
    op.create_table(
        "relay_leases",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True, comment="The writer's instance name; null: free"),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), server_default=sa.text("'-infinity'"), nullable=False),
        sa.Column("relayed_epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "relayed_revision",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Everything up to here is in Redis, or was",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_relay_leases_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_relay_leases")),
        comment="One relay a project at a time, on the database's clock. fence rises with each new owner; the cursor moves only with the fence that it was read with.",
        postgresql_with={"fillfactor": 20},
    )
