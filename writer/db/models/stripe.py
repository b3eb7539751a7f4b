"""How this service keeps step with Stripe: how often it may ask, how far it has listened, what it has compared."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, PrimaryKeyConstraint, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from writer.db.models.base import Base, Recorded, RowId


class StripeSlot(Base):
    """One of the requests that may be sent to Stripe within a second, by all writers together."""

    __tablename__ = "stripe_slots"
    __table_args__ = (
        {
            "comment": "As many rows as STRIPE_MAX_RPS. A request takes a slot that was left a second ago, and leaves it when it "
            "is answered: in no second, wherever it begins, do more arrive. The database's clock decides.",
            "postgresql_with": {"fillfactor": 20},
        },
    )

    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False, comment="From 0")
    left_at: Mapped[datetime] = mapped_column(
        server_default=text("'-infinity'"),
        comment="In the future while a request is under way: when it counts as arrived, whatever became of it",
    )


class StripePace(Base):
    """What every writer has to know before it sends a request that can wait."""

    __tablename__ = "stripe_pace"
    __table_args__ = (
        CheckConstraint("id = 1", name="one_row"),
        {"comment": "What holds the background work of all writers back."},
    )

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    payers_until: Mapped[datetime] = mapped_column(
        server_default=text("'-infinity'"), comment="A payer waits somewhere: background work takes no slot"
    )
    slow_until: Mapped[datetime] = mapped_column(
        server_default=text("'-infinity'"), comment="Stripe asked for fewer requests: background work takes no slot"
    )


class EventCursor(Base):
    """How far Stripe's list of events was read, and which writer reads it now."""

    __tablename__ = "event_cursor"
    __table_args__ = (
        CheckConstraint("id = 1", name="one_row"),
        {"comment": "One reader at a time, on the database's clock. Everything created before the cursor was seen."},
    )

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    created: Mapped[datetime | None] = mapped_column(
        comment="By Stripe's clock: the list was read up to here; null: nothing was read yet"
    )
    swept_at: Mapped[datetime | None] = mapped_column(comment="When the list was last read to its end")
    owner: Mapped[str | None] = mapped_column(comment="The writer's instance name; null: free")
    expires_at: Mapped[datetime] = mapped_column(server_default=text("'-infinity'"))


class SubscriptionHistory(Base):
    """What a subscription was from one moment on, as far as entitlements are made of it."""

    __tablename__ = "subscription_history"
    __table_args__ = (
        Index("ix_subscription_history_subscription_id", "subscription_id", "id"),
        {
            "comment": "Append-only, written with the state itself, a row only where it differs from the last. With "
            "entitlement_history and catalog_versions it tells which price gave a feature at any time in the past."
        },
    )

    id: Mapped[RowId]
    subscription_id: Mapped[str] = mapped_column(comment="sub_…")
    recorded_at: Mapped[datetime] = mapped_column(comment="By the writer's clock, as in entitlement_history")
    cause: Mapped[str] = mapped_column(comment="As in entitlement_history")
    state: Mapped[Any] = mapped_column(comment="Status, ends, items with prices and periods; nobody's name")


class ReconcileRun(Base):
    """One comparison of what is held with what Stripe holds."""

    __tablename__ = "reconcile_runs"
    __table_args__ = (
        CheckConstraint("kind IN ('reconcile', 'import')", name="kind"),
        Index("uq_reconcile_runs_night", "night", unique=True, postgresql_where=text("night IS NOT NULL")),
        Index("ix_reconcile_runs_open", "id", postgresql_where=text("finished_at IS NULL")),
        {
            "comment": "Resumable: stage and cursor say what is done. One writer works on a run while its claim lasts; the unique "
            "night keeps several writers from beginning the nightly one twice."
        },
    )

    id: Mapped[RowId]
    kind: Mapped[str]
    cause: Mapped[str] = mapped_column(comment="nightly, sweep, operator:NAME")
    night: Mapped[date | None] = mapped_column(comment="Of a nightly run: its day, UTC")
    since: Mapped[datetime | None] = mapped_column(
        comment="What was created before and cannot grant any more is not listed; null: everything is"
    )
    stage: Mapped[str] = mapped_column(comment="What is listed or compared now")
    cursor: Mapped[str | None] = mapped_column(comment="Id of the last object of the stage that was done")
    began_at: Mapped[datetime | None] = mapped_column(comment="When the stage began, by Stripe's clock; seconds")
    checked: Mapped[int] = mapped_column(server_default="0", comment="Objects compared")
    repaired: Mapped[int] = mapped_column(server_default="0", comment="Objects that differed and were applied")
    unknown_in_stripe: Mapped[int] = mapped_column(server_default="0", comment="Held here, and not known to Stripe")
    unknown_here: Mapped[int] = mapped_column(server_default="0", comment="Held by Stripe, and not known here before")
    unassigned: Mapped[int] = mapped_column(server_default="0", comment="Ours by price, and nobody's")
    failed: Mapped[int] = mapped_column(server_default="0", comment="Could not be compared; the run went on")
    attempts: Mapped[int] = mapped_column(Integer, server_default="0", comment="Failures in a row")
    next_attempt_at: Mapped[Recorded]
    last_error: Mapped[str | None]
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None]
    created_at: Mapped[Recorded]
    finished_at: Mapped[datetime | None]


class ReconcileFinding(Base):
    """One object that a run found to differ."""

    __tablename__ = "reconcile_findings"
    __table_args__ = (
        PrimaryKeyConstraint("run_id", "object_id", "finding"),
        CheckConstraint(
            "finding IN ('repaired', 'unknown_in_stripe', 'unknown_here', 'unassigned', 'failed')", name="finding"
        ),
        {"comment": "What a run's report is made of; the counts are the run's."},
    )

    run_id: Mapped[int] = mapped_column(ForeignKey("reconcile_runs.id", ondelete="CASCADE"))
    object_id: Mapped[str] = mapped_column(comment="sub_…, cs_…, in_…, re_… or du_…")
    finding: Mapped[str]
    detail: Mapped[Any | None] = mapped_column(comment="What differed, or why it failed; holds no secret")
    found_at: Mapped[Recorded]
