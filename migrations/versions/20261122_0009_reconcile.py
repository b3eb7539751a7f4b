"""Reconcile runs, and what they found."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: None = None
depends_on: None = None


_COUNTS = (
    ("checked", "Objects compared"),
    ("repaired", "Objects that differed and were applied"),
    ("unknown_in_stripe", "Held here, and not known to Stripe"),
    ("unknown_here", "Held by Stripe, and not known here before"),
    ("unassigned", "Ours by price, and nobody's"),
    ("failed", "Could not be compared; the run went on"),
)


def upgrade() -> None:
    _runs()
    _findings()


def downgrade() -> None:
    op.drop_index("ix_reconcile_findings_object_id", table_name="reconcile_findings")
    op.drop_table("reconcile_findings")
    op.drop_index("uq_reconcile_runs_night", table_name="reconcile_runs", postgresql_where=sa.text("night IS NOT NULL"))
    op.drop_index(
        "ix_reconcile_runs_open", table_name="reconcile_runs", postgresql_where=sa.text("finished_at IS NULL")
    )
    op.drop_table("reconcile_runs")


def _runs() -> None:
    op.create_table(
        "reconcile_runs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False, comment="nightly, sweep, operator:NAME"),
        sa.Column("night", sa.Date(), nullable=True, comment="Of a nightly run: its day, UTC"),
        sa.Column(
            "since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="What was created before and cannot grant any more is not listed; null: everything is",
        ),
        sa.Column("stage", sa.Text(), nullable=False, comment="What is listed or compared now"),
        sa.Column("cursor", sa.Text(), nullable=True, comment="Id of the last object of the stage that was done"),
        sa.Column(
            "began_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the stage began, by Stripe's clock; seconds",
        ),
        *(
            sa.Column(name, sa.BigInteger(), server_default="0", nullable=False, comment=comment)
            for name, comment in _COUNTS
        ),
        *_claim(),
        sa.CheckConstraint("kind IN ('reconcile', 'import')", name=op.f("ck_reconcile_runs_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconcile_runs")),
        comment="Resumable: stage and cursor say what is done. One writer works on a run while its claim lasts; the unique night keeps several writers from beginning the nightly one twice.",
    )
    op.create_index(
        "ix_reconcile_runs_open",
        "reconcile_runs",
        ["id"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(
        "uq_reconcile_runs_night",
        "reconcile_runs",
        ["night"],
        unique=True,
        postgresql_where=sa.text("night IS NOT NULL"),
    )


def _claim() -> list[sa.Column[object]]:
    return [
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False, comment="Failures in a row"),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
    ]


def _findings() -> None:
    op.create_table(
        "reconcile_findings",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False, comment="sub_…, cs_…, in_…, re_… or du_…"),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column(
            "detail",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
            comment="What differed, or why it failed; holds no secret",
        ),
        sa.Column("found_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "finding IN ('repaired', 'unknown_in_stripe', 'unknown_here', 'unassigned', 'failed')",
            name=op.f("ck_reconcile_findings_finding"),
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["reconcile_runs.id"], name=op.f("fk_reconcile_findings_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "object_id", "finding", name=op.f("pk_reconcile_findings")),
        comment="What a run's report is made of; the counts are the run's.",
    )
    op.create_index("ix_reconcile_findings_object_id", "reconcile_findings", ["object_id"], unique=False)
