"""Keeping step with Stripe: shared request slots, the event list's cursor, events that are replayed or parked."""

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    _slots()
    _pace()
    _cursor()
    _events()


def downgrade() -> None:
    op.drop_index(
        "ix_webhook_events_parked", table_name="webhook_events", postgresql_where=sa.text("status = 'parked'")
    )
    op.drop_column("webhook_events", "replayed_at")
    op.drop_table("event_cursor")
    op.drop_table("stripe_pace")
    op.drop_table("stripe_slots")


def _slots() -> None:
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


def _pace() -> None:
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


def _cursor() -> None:
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


def _events() -> None:
    op.add_column(
        "webhook_events",
        sa.Column(
            "replayed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When an operator last replayed it: its object is fetched, whatever is held",
        ),
    )
    op.create_index(
        "ix_webhook_events_parked",
        "webhook_events",
        ["received_at"],
        unique=False,
        postgresql_where=sa.text("status = 'parked'"),
    )
