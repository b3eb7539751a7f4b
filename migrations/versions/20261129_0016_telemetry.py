"""Telemetry and figures: what invoices sold, trails of events and changes, log levels that were asked for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: None = None
depends_on: None = None

_TRAILS = (
    ("webhook_events", "request_id, traceparent of the request that brought it; for logs and traces only"),
    ("outbox", "request_id, event_id, traceparent of what caused it; for logs and traces only"),
)


def upgrade() -> None:
    _figures()
    for table, comment in _TRAILS:
        column = sa.Column("trail", postgresql.JSON(none_as_null=True), nullable=True, comment=comment)
        op.add_column(table, column)
    op.create_table(
        "log_levels",
        sa.Column("logger", sa.Text(), nullable=False, comment="Such as writer.pipeline; empty: all of them"),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True, comment="null: until it is taken back"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "level IN ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')", name=op.f("ck_log_levels_level")
        ),
        sa.PrimaryKeyConstraint("logger", name=op.f("pk_log_levels")),
        comment="Every writer looks here again and again. Without a row, or after until, LOG_LEVEL counts.",
    )


def downgrade() -> None:
    op.drop_table("log_levels")
    for table, _ in _TRAILS:
        op.drop_column(table, "trail")
    op.drop_table("invoice_payments")
    op.drop_column("invoices", "lines")


def _figures() -> None:
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
