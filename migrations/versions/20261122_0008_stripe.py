"""Keeping step with Stripe: shared request slots, the event list's cursor, reconcile runs; jobs that can fail."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    _slots_and_cursor()
    _reconcile()
    _history()
    _columns()
    _customers()


def downgrade() -> None:
    op.drop_index(
        "ix_webhook_events_parked", table_name="webhook_events", postgresql_where=sa.text("status = 'parked'")
    )
    op.alter_column(
        "stripe_customers",
        "user_ref",
        existing_type=sa.BigInteger(),
        comment="null: not known whose",
        existing_comment="Whose checkouts and portal use it; null: not known in which project",
    )
    for name in ("user_id", "session_id", "session_created", "session_user_id", "claimed_user_id", "named_user_id"):
        op.drop_column("stripe_customers", name)
    op.drop_column("products", "features")
    op.drop_column("webhook_events", "replayed_at")
    op.drop_column("recompute_jobs", "last_error")
    op.drop_column("recompute_jobs", "next_attempt_at")
    op.drop_column("recompute_jobs", "attempts")
    op.drop_column("recompute_jobs", "total")
    op.drop_column("recompute_jobs", "failed")
    op.drop_column("purchases", "client_reference_id")
    op.drop_index("ix_subscription_history_subscription_id", table_name="subscription_history")
    op.drop_table("subscription_history")
    op.drop_index("ix_reconcile_findings_object_id", table_name="reconcile_findings")
    op.drop_table("reconcile_findings")
    op.drop_table("stripe_pace")
    op.drop_table("stripe_slots")
    op.drop_index("uq_reconcile_runs_night", table_name="reconcile_runs", postgresql_where=sa.text("night IS NOT NULL"))
    op.drop_index(
        "ix_reconcile_runs_open", table_name="reconcile_runs", postgresql_where=sa.text("finished_at IS NULL")
    )
    op.drop_table("reconcile_runs")
    op.drop_table("event_cursor")


def _slots_and_cursor() -> None:
    op.create_table(
        "stripe_slots",
        sa.Column("slot", sa.SmallInteger(), autoincrement=False, nullable=False, comment="From 0"),
        sa.Column(
            "left_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("'-infinity'"),
            nullable=False,
            comment="In the future while a request is under way: when it counts as arrived, whatever became of it",
        ),
        sa.PrimaryKeyConstraint("slot", name=op.f("pk_stripe_slots")),
        comment="As many rows as STRIPE_MAX_RPS. A request takes a slot that was left a second ago, and leaves it when it is answered: in no second, wherever it begins, do more arrive. The database's clock decides.",
        postgresql_with={"fillfactor": 20},
    )
    op.create_table(
        "stripe_pace",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "payers_until",
            sa.DateTime(timezone=True),
            server_default=sa.text("'-infinity'"),
            nullable=False,
            comment="A payer waits somewhere: background work takes no slot",
        ),
        sa.Column(
            "slow_until",
            sa.DateTime(timezone=True),
            server_default=sa.text("'-infinity'"),
            nullable=False,
            comment="Stripe asked for fewer requests: background work takes no slot",
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_stripe_pace_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stripe_pace")),
        comment="What holds the background work of all writers back.",
    )
    op.create_table(
        "event_cursor",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "created",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="By Stripe's clock: the list was read up to here; null: nothing was read yet",
        ),
        sa.Column(
            "swept_at", sa.DateTime(timezone=True), nullable=True, comment="When the list was last read to its end"
        ),
        sa.Column("owner", sa.Text(), nullable=True, comment="The writer's instance name; null: free"),
        sa.Column("expires_at", sa.DateTime(timezone=True), server_default=sa.text("'-infinity'"), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_event_cursor_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_cursor")),
        comment="One reader at a time, on the database's clock. Everything created before the cursor was seen.",
    )


def _reconcile() -> None:
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
        sa.Column("checked", sa.BigInteger(), server_default="0", nullable=False, comment="Objects compared"),
        sa.Column(
            "repaired",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Objects that differed and were applied",
        ),
        sa.Column(
            "unknown_in_stripe",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Held here, and not known to Stripe",
        ),
        sa.Column(
            "unknown_here",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Held by Stripe, and not known here before",
        ),
        sa.Column(
            "unassigned", sa.BigInteger(), server_default="0", nullable=False, comment="Ours by price, and nobody's"
        ),
        sa.Column(
            "failed",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Could not be compared; the run went on",
        ),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False, comment="Failures in a row"),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
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


def _history() -> None:
    op.create_table(
        "subscription_history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=False, comment="sub_…"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="By the writer's clock, as in entitlement_history",
        ),
        sa.Column("cause", sa.Text(), nullable=False, comment="As in entitlement_history"),
        sa.Column(
            "state",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=False,
            comment="Status, ends, items with prices and periods; nobody's name",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription_history")),
        comment="Append-only, written with the state itself, a row only where it differs from the last. With entitlement_history and catalog_versions it tells which price gave a feature at any time in the past.",
    )
    op.create_index(
        "ix_subscription_history_subscription_id", "subscription_history", ["subscription_id", "id"], unique=False
    )


def _customers() -> None:
    for name, kind, comment in (
        ("named_user_id", sa.Text(), "As its metadata names it"),
        ("claimed_user_id", sa.Text(), "By an operator; counts after named_user_id"),
        ("session_user_id", sa.Text(), "As its earliest complete session that names anybody names it; counts last"),
        (
            "session_created",
            sa.DateTime(timezone=True),
            "That session's; infinity: an operator claimed it, and it names nobody itself",
        ),
        ("session_id", sa.Text(), None),
    ):
        op.add_column("stripe_customers", sa.Column(name, kind, nullable=True, comment=comment))
    op.add_column(
        "stripe_customers",
        sa.Column(
            "user_id",
            sa.Text(),
            sa.Computed("coalesce(named_user_id, claimed_user_id, session_user_id)", persisted=True),
            nullable=True,
            comment="Whose what it buys is, where that names nobody",
        ),
    )
    op.alter_column(
        "stripe_customers",
        "user_ref",
        existing_type=sa.BigInteger(),
        comment="Whose checkouts and portal use it; null: not known in which project",
        existing_comment="null: not known whose",
    )
    # Until now a customer was linked once and stayed: by what was not kept. Its metadata are read again with its events.
    op.execute(
        "UPDATE stripe_customers c SET session_user_id = u.user_id, session_created = '-infinity', session_id = ''"
        " FROM users u WHERE u.id = c.user_ref"
    )


def _columns() -> None:
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
    op.add_column(
        "purchases",
        sa.Column(
            "client_reference_id",
            sa.Text(),
            nullable=True,
            comment="As the session names it; counts after claimed_user_id",
        ),
    )
    # Until now whom a session named was not kept apart from whose it was found to be.
    op.execute(
        "UPDATE purchases SET client_reference_id = user_id WHERE coalesce(metadata->>'user_id', '') = ''"
        " AND claimed_user_id IS NULL"
    )
    op.add_column(
        "webhook_events",
        sa.Column(
            "replayed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When an operator last replayed it: its object is fetched, whatever is held",
        ),
    )
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
    op.create_index(
        "ix_webhook_events_parked",
        "webhook_events",
        ["received_at"],
        unique=False,
        postgresql_where=sa.text("status = 'parked'"),
    )
