"""Users that were merged into others or erased, and apps that are disabled."""

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: None = None
depends_on: None = None

_MERGED_INTO = "The user who this one turned out to be, whose is whatever names this one; null: nobody else"


def upgrade() -> None:
    # With the column, so that Postgres need not look through the rows: all of them are null.
    op.execute(
        "ALTER TABLE users ADD COLUMN merged_into BIGINT CONSTRAINT fk_users_merged_into_users REFERENCES users (id)"
    )
    op.execute(f"COMMENT ON COLUMN users.merged_into IS '{_MERGED_INTO}'")
    op.add_column(
        "users",
        sa.Column(
            "erased_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Set: user_id is a pseudonym, and nothing tells whose it was",
        ),
    )
    op.create_index(
        "ix_users_merged_into", "users", ["merged_into"], postgresql_where=sa.text("merged_into IS NOT NULL")
    )
    op.create_index("ix_users_erased_at", "users", ["erased_at"], postgresql_where=sa.text("erased_at IS NOT NULL"))
    op.add_column(
        "apps",
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True, comment="Set: none of its keys is good"),
    )


def downgrade() -> None:
    op.drop_column("apps", "disabled_at")
    op.drop_index("ix_users_merged_into", "users")
    op.drop_index("ix_users_erased_at", "users")
    op.drop_column("users", "erased_at")
    op.drop_column("users", "merged_into")
