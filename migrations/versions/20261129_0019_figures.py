"""What figures by project need: what an invoice's lines sold, and which invoice a payment paid."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0019"
down_revision: str | None = "0013"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    # Without a default and nullable: no row is written, so it takes no time on a large table.
    op.add_column(
        "invoices",
        sa.Column(
            "lines",
            postgresql.JSONB(none_as_null=True),
            nullable=True,
            comment="price_id, amount after discounts, recurring of each line; null: not read yet, a reconcile run does",
        ),
    )
    op.create_table(
        "invoice_payments",
        sa.Column("payment_intent", sa.Text(), nullable=False),
        sa.Column("invoice_id", sa.Text(), nullable=False, comment="in_…"),
        sa.PrimaryKeyConstraint("payment_intent", name=op.f("pk_invoice_payments")),
        comment="Which invoice a payment paid, where that was told or asked: refunds and disputes name the payment only.",
    )


def downgrade() -> None:
    op.drop_table("invoice_payments")
    op.drop_column("invoices", "lines")
