"""What customers bought once, and what was given back or is questioned."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    _purchases()
    _purchase_lines()
    _refunds()
    _disputes()
    _checkout_requests()


def downgrade() -> None:
    op.drop_table("checkout_requests")
    op.drop_table("disputes")
    op.drop_table("refunds")
    op.drop_table("purchase_lines")
    op.drop_table("purchases")


def _purchases() -> None:
    op.create_table(
        "purchases",
        sa.Column("id", sa.Text(), nullable=False, comment="cs_…"),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True, comment="As resolved; null: unassigned"),
        sa.Column(
            "claimed_user_id",
            sa.Text(),
            nullable=True,
            comment="Set by an operator; counts where metadata names nobody",
        ),
        sa.Column("project_id", sa.BigInteger(), nullable=True, comment="From metadata; null: by each line's price"),
        sa.Column("unassigned_reason", sa.Text(), nullable=True),
        sa.Column("mode", sa.Text(), nullable=False, comment="payment or subscription"),
        sa.Column("payment_status", sa.Text(), nullable=False, comment="paid, unpaid, no_payment_required"),
        sa.Column("payment_intent", sa.Text(), nullable=True),
        sa.Column("invoice_id", sa.Text(), nullable=True),
        sa.Column(
            "amount_total",
            sa.BigInteger(),
            nullable=False,
            comment="What was paid for the whole session, smallest unit",
        ),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column(
            "metadata",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_purchases_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purchases")),
        comment="Grants once paid, or when nothing was to pay. Refunds and disputes meet it by payment intent.",
    )
    op.create_index("ix_purchases_customer_id", "purchases", ["customer_id"], unique=False)
    op.create_index("ix_purchases_payment_intent", "purchases", ["payment_intent"], unique=False)
    op.create_index(
        "ix_purchases_unassigned",
        "purchases",
        ["id"],
        unique=False,
        postgresql_where=sa.text("unassigned_reason IS NOT NULL"),
    )


def _purchase_lines() -> None:
    op.create_table(
        "purchase_lines",
        sa.Column("id", sa.Text(), nullable=False, comment="li_…"),
        sa.Column("purchase_id", sa.Text(), nullable=False),
        sa.Column("user_ref", sa.BigInteger(), nullable=True, comment="null: nobody's, it grants nothing"),
        sa.Column("price_id", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("amount_total", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["purchase_id"], ["purchases.id"], name=op.f("fk_purchase_lines_purchase_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_ref"], ["users.id"], name=op.f("fk_purchase_lines_user_ref")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purchase_lines")),
        comment="A purchase's lines are replaced together, under the session's lock. Recurring lines are the subscription's and not kept.",
    )
    op.create_index("ix_purchase_lines_price_id", "purchase_lines", ["price_id"], unique=False)
    op.create_index("ix_purchase_lines_purchase_id", "purchase_lines", ["purchase_id"], unique=False)
    op.create_index("ix_purchase_lines_user_ref", "purchase_lines", ["user_ref"], unique=False)


def _refunds() -> None:
    op.create_table(
        "refunds",
        sa.Column("id", sa.Text(), nullable=False, comment="re_…"),
        sa.Column("payment_intent", sa.Text(), nullable=True),
        sa.Column("charge", sa.Text(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False, comment="pending, requires_action, succeeded, failed, canceled"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refunds")),
        comment="Kept by payment intent, also before its purchase is known. Failed and cancelled ones count as not made.",
    )
    op.create_index("ix_refunds_payment_intent", "refunds", ["payment_intent"], unique=False)


def _disputes() -> None:
    op.create_table(
        "disputes",
        sa.Column("id", sa.Text(), nullable=False, comment="du_… or dp_…"),
        sa.Column("payment_intent", sa.Text(), nullable=True),
        sa.Column("charge", sa.Text(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disputes")),
        comment="Kept by payment intent, also before its purchase is known. Only a lost one revokes.",
    )
    op.create_index("ix_disputes_payment_intent", "disputes", ["payment_intent"], unique=False)


def _checkout_requests() -> None:
    op.create_table(
        "checkout_requests",
        sa.Column("session_id", sa.Text(), nullable=False, comment="cs_…"),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("user_ref", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False, comment="SHA-256 of the request's meaning"),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("octet_length(fingerprint) = 32", name=op.f("ck_checkout_requests_fingerprint_length")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_checkout_requests_project_id")),
        sa.ForeignKeyConstraint(["user_ref"], ["users.id"], name=op.f("fk_checkout_requests_user_ref")),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_checkout_requests")),
        comment="Written under the user's lock. An open session of an equal request is given again until it expires.",
    )
    op.create_index(
        "ix_checkout_requests_user_ref_fingerprint", "checkout_requests", ["user_ref", "fingerprint"], unique=False
    )
    op.create_index(
        "uq_checkout_requests_idempotency_key",
        "checkout_requests",
        ["project_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
