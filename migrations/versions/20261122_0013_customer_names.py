"""Everything that says whose a customer is, kept, so that it can be judged again when prices or projects change."""

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: None = None
depends_on: None = None

_SETTLED = "Whose what it buys is, where that names nobody: by customer_names, as prices and projects are now"


def upgrade() -> None:
    _make_names()
    _fill_names()
    op.execute("ALTER TABLE stripe_customers ALTER COLUMN user_id DROP EXPRESSION")
    op.alter_column("stripe_customers", "user_id", existing_type=sa.Text(), comment=_SETTLED)
    op.alter_column(
        "stripe_customers",
        "livemode",
        existing_type=sa.Boolean(),
        nullable=True,
        comment="null: first heard of when it was gone",
    )
    for name in ("session_id", "session_created", "session_user_id", "claimed_user_id", "named_user_id"):
        op.drop_column("stripe_customers", name)


def downgrade() -> None:
    op.drop_column("stripe_customers", "user_id")
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
    _unfill_names()
    op.execute("DELETE FROM stripe_customers WHERE livemode IS NULL")
    op.alter_column(
        "stripe_customers",
        "livemode",
        existing_type=sa.Boolean(),
        nullable=False,
        comment=None,
        existing_comment="null: first heard of when it was gone",
    )
    op.drop_table("customer_names")


def _make_names() -> None:
    op.create_table(
        "customer_names",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("said_by", sa.Text(), nullable=False, comment="metadata, operator, or the complete session: cs_…"),
        sa.Column(
            "rank",
            sa.SmallInteger(),
            nullable=False,
            comment="The lowest counts, then the earliest: 0 its metadata, 1 an operator, 2 a session, 3 a session that "
            "names nobody itself and that an operator claimed",
        ),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=True, comment="As named with the user, whether it exists or not"),
        sa.Column(
            "price_ids",
            sa.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
            comment="What the session sold; it counts if any is ours",
        ),
        sa.Column("created", sa.DateTime(timezone=True), nullable=True, comment="The session's, by Stripe's clock"),
        sa.CheckConstraint("rank BETWEEN 0 AND 3", name=op.f("ck_customer_names_rank")),
        sa.PrimaryKeyConstraint("customer_id", "said_by", name=op.f("pk_customer_names")),
        comment="All that was ever said is kept, of other apps too: which of it counts depends on projects and prices, and "
        "those change. Written under the customer's lock.",
    )
    op.create_index("ix_customer_names_price_ids", "customer_names", ["price_ids"], postgresql_using="gin")
    op.create_index("ix_customer_names_project", "customer_names", ["project"])


def _fill_names() -> None:
    """Of sessions only the one that counted was known, and not what it sold: taken to be all that its customer bought."""
    op.execute("""
    INSERT INTO customer_names (customer_id, said_by, rank, user_id, project)
    SELECT c.id, said.said_by, said.rank, said.user_id, p.public_id
    FROM stripe_customers c
    CROSS JOIN LATERAL (VALUES ('metadata', 0, c.named_user_id), ('operator', 1, c.claimed_user_id))
        AS said (said_by, rank, user_id)
    LEFT JOIN users u ON u.id = c.user_ref AND u.user_id = said.user_id
    LEFT JOIN projects p ON p.id = u.project_id
    WHERE said.user_id IS NOT NULL
    """)
    op.execute("""
    INSERT INTO customer_names (customer_id, said_by, rank, user_id, price_ids, created)
    SELECT c.id, c.session_id, CASE WHEN c.session_created = 'infinity' THEN 3 ELSE 2 END, c.session_user_id,
        ARRAY(SELECT i.price_id FROM subscription_items i JOIN subscriptions s ON s.id = i.subscription_id
              WHERE s.customer_id = c.id
              UNION SELECT l.price_id FROM purchase_lines l JOIN purchases p ON p.id = l.purchase_id
              WHERE p.customer_id = c.id),
        nullif(c.session_created, 'infinity')
    FROM stripe_customers c WHERE c.session_user_id IS NOT NULL
    """)


def _unfill_names() -> None:
    op.execute("""
    UPDATE stripe_customers c SET
        named_user_id = (SELECT user_id FROM customer_names n WHERE n.customer_id = c.id AND n.said_by = 'metadata'
            AND EXISTS (SELECT FROM projects p WHERE p.public_id = n.project)),
        claimed_user_id = (SELECT user_id FROM customer_names n WHERE n.customer_id = c.id AND n.said_by = 'operator')
    """)
    op.execute("""
    UPDATE stripe_customers c SET session_id = n.said_by, session_user_id = n.user_id,
        session_created = CASE n.rank WHEN 2 THEN n.created ELSE 'infinity' END
    FROM (
        SELECT DISTINCT ON (n.customer_id) n.* FROM customer_names n
        WHERE n.rank >= 2 AND (EXISTS (SELECT FROM projects p WHERE p.public_id = n.project)
            OR EXISTS (SELECT FROM prices p WHERE p.id = ANY(n.price_ids) AND p.project_id IS NOT NULL))
        ORDER BY n.customer_id, n.rank, n.created, n.said_by) n
    WHERE n.customer_id = c.id
    """)
