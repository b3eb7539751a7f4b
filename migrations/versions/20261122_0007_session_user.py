"""A subscription remembers whom the checkout session that made it named."""

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.add_column(
        "subscriptions",
        sa.Column(
            "session_user_id",
            sa.Text(),
            nullable=True,
            comment="Named by the checkout session that made it; counts after claimed_user_id",
        ),
    )


def downgrade() -> None:
    op.drop_column("subscriptions", "session_user_id")
