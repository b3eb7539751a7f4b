"""Requests that carry an idempotency key, and what they were answered."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "idempotent_requests",
        sa.Column("key", sa.Text(), nullable=False, comment="As the caller sent it"),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False, comment="SHA-256 of method, path, query and body"),
        sa.Column("claim", sa.Text(), nullable=False, comment="Which attempt works on it, or did last"),
        sa.Column(
            "claimed_until",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Until then nobody else may; after that, anybody, unless acted_at is set",
        ),
        sa.Column(
            "acted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Set in the act's own transaction: from then on it is never carried out again",
        ),
        sa.Column("status", sa.Integer(), nullable=True, comment="What was answered; null: nothing yet, or it is lost"),
        sa.Column("media", sa.Text(), nullable=True),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True, comment="Without what is shown only once"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("octet_length(fingerprint) = 32", name=op.f("ck_idempotent_requests_fingerprint_length")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotent_requests")),
        comment="Admin writes with an Idempotency-Key, kept for a day. Refusals change nothing and are not kept.",
    )
    op.create_index("ix_idempotent_requests_created_at", "idempotent_requests", ["created_at"])


def downgrade() -> None:
    op.drop_table("idempotent_requests")
