"""What customers subscribe to at Stripe: the mirror that entitlements are computed from."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    _stripe_objects()
    _stripe_customers()
    _subscriptions()
    _subscription_items()
    _invoices()


def downgrade() -> None:
    op.drop_table("invoices")
    op.drop_table("subscription_items")
    op.drop_table("subscriptions")
    op.drop_table("stripe_customers")
    op.drop_table("stripe_objects")


def _stripe_objects() -> None:
    op.create_table(
        "stripe_objects",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column(
            "event_created",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="created of the newest event applied; seconds",
        ),
        sa.Column(
            "fetched_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Stripe's Date when the newest applied fetch began; seconds",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stripe_objects")),
        comment="Locked, sorted by id, before anything of the object or of what it is linked by (a payment intent, a subscription, a customer) is read or written: the first lock of every transaction.",
    )


def _stripe_customers() -> None:
    op.create_table(
        "stripe_customers",
        sa.Column("id", sa.Text(), nullable=False, comment="cus_…"),
        sa.Column("user_ref", sa.BigInteger(), nullable=True, comment="null: not known whose"),
        sa.Column(
            "is_primary",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="The one that checkout and portal use",
        ),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_ref"], ["users.id"], name=op.f("fk_stripe_customers_user_ref")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stripe_customers")),
        comment="A user has one primary customer: the unique index keeps two first purchases at the same moment from opening two. Others may exist from before this service.",
    )
    op.create_index("ix_stripe_customers_user_ref", "stripe_customers", ["user_ref"], unique=False)
    op.create_index(
        "uq_stripe_customers_primary_user",
        "stripe_customers",
        ["user_ref"],
        unique=True,
        postgresql_where=sa.text("is_primary AND deleted_at IS NULL"),
    )


def _subscriptions() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.Text(), nullable=False, comment="sub_…"),
        *_ownership_columns(),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trial_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_at", sa.DateTime(timezone=True), nullable=True, comment="Ends exactly then, without grace"),
        sa.Column("cancel_at_period_end", sa.Boolean(), nullable=False),
        sa.Column("canceled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("collection_method", sa.Text(), nullable=False),
        sa.Column(
            "pause_collection",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
            comment="Set: invoices are held back, access stays",
        ),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column(
            "metadata",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_subscriptions_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
        comment="States as Stripe names them. Whose it is stands on its items, because items may belong to several projects.",
    )
    op.create_index("ix_subscriptions_customer_id", "subscriptions", ["customer_id"], unique=False)
    op.create_index(
        "ix_subscriptions_unassigned",
        "subscriptions",
        ["id"],
        unique=False,
        postgresql_where=sa.text("unassigned_reason IS NOT NULL"),
    )


def _ownership_columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column(
            "user_id",
            sa.Text(),
            nullable=True,
            comment="As resolved: metadata, known customer, or claimed; null: unassigned",
        ),
        sa.Column(
            "claimed_user_id",
            sa.Text(),
            nullable=True,
            comment="Set by an operator; counts where metadata names nobody",
        ),
        sa.Column("project_id", sa.BigInteger(), nullable=True, comment="From metadata; null: by each item's price"),
        sa.Column(
            "unassigned_reason", sa.Text(), nullable=True, comment="Why it grants nothing though it is ours by price"
        ),
    )


def _subscription_items() -> None:
    op.create_table(
        "subscription_items",
        sa.Column("id", sa.Text(), nullable=False, comment="si_…"),
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("user_ref", sa.BigInteger(), nullable=True, comment="null: nobody's, it grants nothing"),
        sa.Column("price_id", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["subscriptions.id"],
            name=op.f("fk_subscription_items_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["user_ref"], ["users.id"], name=op.f("fk_subscription_items_user_ref")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription_items")),
        comment="All items of a subscription are replaced together, under the subscription's lock.",
    )
    op.create_index("ix_subscription_items_price_id", "subscription_items", ["price_id"], unique=False)
    op.create_index("ix_subscription_items_subscription_id", "subscription_items", ["subscription_id"], unique=False)
    op.create_index("ix_subscription_items_user_ref", "subscription_items", ["user_ref"], unique=False)


def _invoices() -> None:
    op.create_table(
        "invoices",
        sa.Column("id", sa.Text(), nullable=False, comment="in_…"),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False, comment="draft, open, paid, uncollectible, void"),
        sa.Column("finalized_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_date", sa.DateTime(timezone=True), nullable=True, comment="Set where it is sent, not charged"),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_due", sa.BigInteger(), nullable=False),
        sa.Column("amount_paid", sa.BigInteger(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoices")),
        comment="Kept by subscription id, also before the subscription is known. The oldest open one begins past-due grace.",
    )
    op.create_index(
        "ix_invoices_open", "invoices", ["subscription_id"], unique=False, postgresql_where=sa.text("status = 'open'")
    )
    op.create_index("ix_invoices_subscription_id", "invoices", ["subscription_id"], unique=False)
