"""What customers hold at Stripe, as far as entitlements need it: a mirror, kept by event and by fetch."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from writer.db.models.base import Base, Recorded


class StripeObject(Base):
    """How current the mirror of one Stripe object is; its row is that object's lock."""

    __tablename__ = "stripe_objects"
    __table_args__ = (
        {
            "comment": "Locked, sorted by id, before anything of the object or of what it is linked by (a payment intent, a "
            "subscription, a customer) is read or written: the first lock of every transaction."
        },
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    event_created: Mapped[datetime | None] = mapped_column(comment="created of the newest event applied; seconds")
    fetched_at: Mapped[datetime | None] = mapped_column(
        comment="Stripe's Date when the newest applied fetch began; seconds"
    )


class Subscription(Base):
    """A Stripe subscription, as last applied."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index("ix_subscriptions_customer_id", "customer_id"),
        Index("ix_subscriptions_unassigned", "id", postgresql_where=text("unassigned_reason IS NOT NULL")),
        {
            "comment": "States as Stripe names them. Whose it is stands on its items, because items may belong to several projects."
        },
    )

    id: Mapped[str] = mapped_column(primary_key=True, comment="sub_…")
    customer_id: Mapped[str]
    user_id: Mapped[str | None] = mapped_column(
        comment="As resolved: metadata, known customer, or claimed; null: unassigned"
    )
    claimed_user_id: Mapped[str | None] = mapped_column(
        comment="Set by an operator; counts where metadata names nobody"
    )
    session_user_id: Mapped[str | None] = mapped_column(
        comment="Named by the checkout session that made it; counts after claimed_user_id"
    )
    project_id: Mapped[int | None] = mapped_column(
        ForeignKey("projects.id"), comment="From metadata; null: by each item's price"
    )
    unassigned_reason: Mapped[str | None] = mapped_column(comment="Why it grants nothing though it is ours by price")
    status: Mapped[str]
    started_at: Mapped[datetime]
    trial_end: Mapped[datetime | None]
    cancel_at: Mapped[datetime | None] = mapped_column(comment="Ends exactly then, without grace")
    cancel_at_period_end: Mapped[bool]
    canceled_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    collection_method: Mapped[str]
    pause_collection: Mapped[Any | None] = mapped_column(comment="Set: invoices are held back, access stays")
    livemode: Mapped[bool]
    attributes: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'::jsonb"))
    updated_at: Mapped[Recorded]


class SubscriptionItem(Base):
    """One line of a subscription: what grants, for which (project, user), until when."""

    __tablename__ = "subscription_items"
    __table_args__ = (
        Index("ix_subscription_items_subscription_id", "subscription_id"),
        Index("ix_subscription_items_user_ref", "user_ref"),
        Index("ix_subscription_items_price_id", "price_id"),
        {"comment": "All items of a subscription are replaced together, under the subscription's lock."},
    )

    id: Mapped[str] = mapped_column(primary_key=True, comment="si_…")
    subscription_id: Mapped[str] = mapped_column(ForeignKey("subscriptions.id", ondelete="CASCADE"))
    user_ref: Mapped[int | None] = mapped_column(ForeignKey("users.id"), comment="null: nobody's, it grants nothing")
    price_id: Mapped[str]
    product_id: Mapped[str]
    quantity: Mapped[int]
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]


class Invoice(Base):
    """A subscription's invoice, as far as grace and revenue need it."""

    __tablename__ = "invoices"
    __table_args__ = (
        Index("ix_invoices_open", "subscription_id", postgresql_where=text("status = 'open'")),
        Index("ix_invoices_subscription_id", "subscription_id"),
        {
            "comment": "Kept by subscription id, also before the subscription is known. The oldest open one begins past-due grace."
        },
    )

    id: Mapped[str] = mapped_column(primary_key=True, comment="in_…")
    subscription_id: Mapped[str | None]
    customer_id: Mapped[str | None]
    status: Mapped[str] = mapped_column(comment="draft, open, paid, uncollectible, void")
    finalized_at: Mapped[datetime | None]
    due_date: Mapped[datetime | None] = mapped_column(comment="Set where it is sent, not charged")
    paid_at: Mapped[datetime | None]
    currency: Mapped[str]
    amount_due: Mapped[int]
    amount_paid: Mapped[int]
    livemode: Mapped[bool]
    lines: Mapped[Any | None] = mapped_column(
        comment="price_id, amount after discounts, recurring of each line; null: not read yet, a reconcile run does"
    )


class InvoicePayment(Base):
    """What settled a subscription's invoice."""

    __tablename__ = "invoice_payments"
    __table_args__ = (
        {
            "comment": "Which invoice a payment paid, where that was told or asked: refunds and disputes name the payment only."
        },
    )

    payment_intent: Mapped[str] = mapped_column(primary_key=True)
    invoice_id: Mapped[str] = mapped_column(comment="in_…")


class Purchase(Base):
    """A complete checkout session with one-time lines."""

    __tablename__ = "purchases"
    __table_args__ = (
        Index("ix_purchases_payment_intent", "payment_intent"),
        Index("ix_purchases_customer_id", "customer_id"),
        Index("ix_purchases_unassigned", "id", postgresql_where=text("unassigned_reason IS NOT NULL")),
        {"comment": "Grants once paid, or when nothing was to pay. Refunds and disputes meet it by payment intent."},
    )

    id: Mapped[str] = mapped_column(primary_key=True, comment="cs_…")
    customer_id: Mapped[str | None]
    user_id: Mapped[str | None] = mapped_column(comment="As resolved; null: unassigned")
    claimed_user_id: Mapped[str | None] = mapped_column(
        comment="Set by an operator; counts where metadata names nobody"
    )
    client_reference_id: Mapped[str | None] = mapped_column(
        comment="As the session names it; counts after claimed_user_id"
    )
    project_id: Mapped[int | None] = mapped_column(
        ForeignKey("projects.id"), comment="From metadata; null: by each line's price"
    )
    unassigned_reason: Mapped[str | None]
    mode: Mapped[str] = mapped_column(comment="payment or subscription")
    payment_status: Mapped[str] = mapped_column(comment="paid, unpaid, no_payment_required")
    payment_intent: Mapped[str | None]
    invoice_id: Mapped[str | None]
    amount_total: Mapped[int] = mapped_column(comment="What was paid for the whole session, smallest unit")
    currency: Mapped[str]
    completed_at: Mapped[datetime]
    livemode: Mapped[bool]
    attributes: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'::jsonb"))
    updated_at: Mapped[Recorded]


class PurchaseLine(Base):
    """One one-time line of a purchase."""

    __tablename__ = "purchase_lines"
    __table_args__ = (
        Index("ix_purchase_lines_purchase_id", "purchase_id"),
        Index("ix_purchase_lines_user_ref", "user_ref"),
        Index("ix_purchase_lines_price_id", "price_id"),
        {
            "comment": "A purchase's lines are replaced together, under the session's lock. Recurring lines are the subscription's and not kept."
        },
    )

    id: Mapped[str] = mapped_column(primary_key=True, comment="li_…")
    purchase_id: Mapped[str] = mapped_column(ForeignKey("purchases.id", ondelete="CASCADE"))
    user_ref: Mapped[int | None] = mapped_column(ForeignKey("users.id"), comment="null: nobody's, it grants nothing")
    price_id: Mapped[str]
    product_id: Mapped[str]
    quantity: Mapped[int]
    amount_total: Mapped[int]


class Refund(Base):
    """Money given back."""

    __tablename__ = "refunds"
    __table_args__ = (
        Index("ix_refunds_payment_intent", "payment_intent"),
        {
            "comment": "Kept by payment intent, also before its purchase is known. Failed and cancelled ones count as not made."
        },
    )

    id: Mapped[str] = mapped_column(primary_key=True, comment="re_…")
    payment_intent: Mapped[str | None]
    charge: Mapped[str | None]
    amount: Mapped[int]
    currency: Mapped[str]
    status: Mapped[str] = mapped_column(comment="pending, requires_action, succeeded, failed, canceled")
    created_at: Mapped[datetime]


class Dispute(Base):
    """A payment that the customer's bank questions."""

    __tablename__ = "disputes"
    __table_args__ = (
        Index("ix_disputes_payment_intent", "payment_intent"),
        {"comment": "Kept by payment intent, also before its purchase is known. Only a lost one revokes."},
    )

    id: Mapped[str] = mapped_column(primary_key=True, comment="du_… or dp_…")
    payment_intent: Mapped[str | None]
    charge: Mapped[str | None]
    amount: Mapped[int]
    currency: Mapped[str]
    status: Mapped[str]
    created_at: Mapped[datetime]


class CheckoutRequest(Base):
    """A checkout that was opened, so that a double click or a retry gets the same session."""

    __tablename__ = "checkout_requests"
    __table_args__ = (
        CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint_length"),
        Index(
            "uq_checkout_requests_idempotency_key",
            "project_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        Index("ix_checkout_requests_user_ref_fingerprint", "user_ref", "fingerprint"),
        {
            "comment": "Written under the user's lock. An open session of an equal request is given again until it expires."
        },
    )

    session_id: Mapped[str] = mapped_column(primary_key=True, comment="cs_…")
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    user_ref: Mapped[int] = mapped_column(ForeignKey("users.id"))
    idempotency_key: Mapped[str | None]
    fingerprint: Mapped[bytes] = mapped_column(comment="SHA-256 of the request's meaning")
    url: Mapped[str]
    expires_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
    created_at: Mapped[Recorded]
