"""How far old rows were removed."""

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "retention",
        sa.Column("kind", sa.Text(), nullable=False, comment="What is removed by this pass"),
        sa.Column(
            "cursor",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="The last one that was looked at; empty: a pass begins",
        ),
        sa.Column(
            "removed",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Rows, by this and all earlier passes",
        ),
        sa.Column("next_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True, comment="When the last whole pass ended"),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_retention")),
        comment="A row for each kind of rows that grow old. Whoever holds its lock removes the next few, so one writer at a time.",
    )


def downgrade() -> None:
    op.drop_table("retention")
