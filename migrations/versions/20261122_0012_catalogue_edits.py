"""Recompute jobs that can fail, and features that are attached to products."""

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    _jobs()
    _products()


def downgrade() -> None:
    op.drop_column("products", "features")
    for name in ("last_error", "next_attempt_at", "attempts", "total", "failed"):
        op.drop_column("recompute_jobs", name)


def _jobs() -> None:
    op.add_column(
        "recompute_jobs",
        sa.Column(
            "failed",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Users who could not be computed; the audit log names them",
        ),
    )
    op.add_column(
        "recompute_jobs",
        sa.Column(
            "total", sa.BigInteger(), nullable=True, comment="Users that were meant when it was made; null: not counted"
        ),
    )
    op.add_column(
        "recompute_jobs",
        sa.Column(
            "attempts",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Failures that halved the chunk, less the successes since",
        ),
    )
    op.add_column(
        "recompute_jobs",
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.add_column("recompute_jobs", sa.Column("last_error", sa.Text(), nullable=True))


def _products() -> None:
    op.add_column(
        "products",
        sa.Column(
            "features",
            sa.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
            comment="Lookup keys of the features attached at Stripe, sorted, as read last; no payload carries them",
        ),
    )
