"""Stripe's events as received, work in progress, and who did what."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    _webhook_events()
    _recompute_jobs()
    _audit_log()


def downgrade() -> None:
    op.drop_table("audit_log")
    op.drop_table("recompute_jobs")
    op.drop_table("webhook_events")


def _webhook_events() -> None:
    op.create_table(
        "webhook_events",
        sa.Column("id", sa.Text(), nullable=False, comment="evt_…"),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column(
            "object_id", sa.Text(), nullable=True, comment="What the event is a hint about; null: nothing of ours"
        ),
        sa.Column("api_version", sa.Text(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False, comment="Stripe's, in seconds"),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("account", sa.Text(), nullable=True, comment="Set on Connect events, which are never applied"),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False, comment="The bytes whose signature was verified"),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column(
            "claimed_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Until then one writer works on it; after that, anybody may",
        ),
        sa.Column("last_error", sa.Text(), nullable=True, comment="Why it was ignored, retried or parked"),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("origin IN ('webhook', 'sweep', 'poll', 'resend')", name=op.f("ck_webhook_events_origin")),
        sa.CheckConstraint(
            "status IN ('pending', 'applied', 'superseded', 'ignored', 'parked')", name=op.f("ck_webhook_events_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_events")),
        comment="Stripe is acknowledged only after this row is committed, and the primary key alone decides what is a duplicate. pending → applied | superseded (something newer was known) | ignored (not ours to apply) | parked (gave up, with its error); replay makes it pending again.",
    )
    op.create_index(
        "ix_webhook_events_due",
        "webhook_events",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index("ix_webhook_events_object_id_created", "webhook_events", ["object_id", "created"], unique=False)
    op.create_index(
        "ix_webhook_events_pending_object",
        "webhook_events",
        ["object_id"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index("ix_webhook_events_received_at", "webhook_events", ["received_at"], unique=False)


def _recompute_jobs() -> None:
    op.create_table(
        "recompute_jobs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False, comment="catalog:VERSION or operator:NAME"),
        sa.Column(
            "targets",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
            comment="Price and product ids, and feature:CODE for manual grants, whose holders are meant; null: every user",
        ),
        sa.Column(
            "cursor", sa.BigInteger(), server_default="0", nullable=False, comment="users.id of the last one done"
        ),
        sa.Column("done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_recompute_jobs_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recompute_jobs")),
        comment="cursor is the last user done: a job that was cut off goes on behind it.",
    )
    op.create_index(
        "ix_recompute_jobs_open",
        "recompute_jobs",
        ["id"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NULL"),
    )


def _audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False, comment="admin-key:PREFIX, cli:NAME, console:…, stripe, system"),
        sa.Column(
            "action", sa.Text(), nullable=False, comment="project.create, key.revoke, grant.create, user.recompute …"
        ),
        sa.Column("project_id", sa.BigInteger(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False, comment="What it was done to: user:…, key:…, event:…"),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("before", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("origin", sa.Text(), nullable=True, comment="The caller's address, where there was one"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_audit_log_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
        comment="Append-only. Written in the transaction of the act itself. Holds no secret.",
    )
    op.create_index("ix_audit_log_project_id_id", "audit_log", ["project_id", "id"], unique=False)
    op.create_index("ix_audit_log_subject", "audit_log", ["subject"], unique=False)
