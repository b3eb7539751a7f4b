"""Which backups were made, and when they were verified."""

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "backups",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False, comment="Which moment it shows"),
        sa.Column("file", sa.Text(), nullable=False, comment="Its name in the folder of backups"),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="Bytes"),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("schema_revision", sa.Text(), nullable=True),
        sa.Column(
            "verified_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was last restored into a scratch database and found equal; null: never",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backups")),
        sa.UniqueConstraint("sha256", name=op.f("uq_backups_sha256")),
        comment="A row for each backup that was made, whether its file is still there or not; the writer's metrics read it.",
    )


def downgrade() -> None:
    op.drop_table("backups")
