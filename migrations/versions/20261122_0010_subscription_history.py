"""What a subscription was at every time."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
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


def downgrade() -> None:
    op.drop_index("ix_subscription_history_subscription_id", table_name="subscription_history")
    op.drop_table("subscription_history")
