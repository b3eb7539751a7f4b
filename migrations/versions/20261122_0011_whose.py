"""Who says whose a customer or a purchase is, kept apart."""

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    _customers()
    _purchases()


def downgrade() -> None:
    op.drop_column("purchases", "client_reference_id")
    op.alter_column(
        "stripe_customers",
        "user_ref",
        existing_type=sa.BigInteger(),
        comment="null: not known whose",
        existing_comment="Whose checkouts and portal use it; null: not known in which project",
    )
    for name in ("user_id", "session_id", "session_created", "session_user_id", "claimed_user_id", "named_user_id"):
        op.drop_column("stripe_customers", name)


def _customers() -> None:
    for name, kind, comment in (
        ("named_user_id", sa.Text(), "As its metadata names it"),
        ("claimed_user_id", sa.Text(), "By an operator; counts after named_user_id"),
        ("session_user_id", sa.Text(), "As its earliest complete session that names anybody names it; counts last"),
        (
            "session_created",
            sa.DateTime(timezone=True),
            "That session's; infinity: an operator claimed it, and it names nobody itself",
        ),
        ("session_id", sa.Text(), None),
    ):
        op.add_column("stripe_customers", sa.Column(name, kind, nullable=True, comment=comment))
    op.add_column(
        "stripe_customers",
        sa.Column(
            "user_id",
            sa.Text(),
            sa.Computed("coalesce(named_user_id, claimed_user_id, session_user_id)", persisted=True),
            nullable=True,
            comment="Whose what it buys is, where that names nobody",
        ),
    )
    op.alter_column(
        "stripe_customers",
        "user_ref",
        existing_type=sa.BigInteger(),
        comment="Whose checkouts and portal use it; null: not known in which project",
        existing_comment="null: not known whose",
    )
    # Until now a customer was linked once and stayed: by what was not kept. Its metadata are read again with its events.
    op.execute(
        "UPDATE stripe_customers c SET session_user_id = u.user_id, session_created = '-infinity', session_id = ''"
        " FROM users u WHERE u.id = c.user_ref"
    )


def _purchases() -> None:
    op.add_column(
        "purchases",
        sa.Column(
            "client_reference_id",
            sa.Text(),
            nullable=True,
            comment="As the session names it; counts after claimed_user_id",
        ),
    )
    # Until now whom a session named was not kept apart from whose it was found to be.
    op.execute(
        "UPDATE purchases SET client_reference_id = user_id WHERE coalesce(metadata->>'user_id', '') = ''"
        " AND claimed_user_id IS NULL"
    )
