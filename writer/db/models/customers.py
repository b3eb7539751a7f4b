"""Stripe's customers: everything that says whose one is, and whose it is by that."""

from datetime import datetime

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Index, PrimaryKeyConstraint, SmallInteger, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from writer.db.models.base import Base, Recorded


class StripeCustomer(Base):
    """A Stripe customer, and whose it is."""

    __tablename__ = "stripe_customers"
    __table_args__ = (
        Index(
            "uq_stripe_customers_primary_user",
            "user_ref",
            unique=True,
            postgresql_where=text("is_primary AND deleted_at IS NULL"),
        ),
        Index("ix_stripe_customers_user_ref", "user_ref"),
        {
            "comment": "A user has one primary customer: the unique index keeps two first purchases at the same moment from "
            "opening two. Others may exist from before this service."
        },
    )

    id: Mapped[str] = mapped_column(primary_key=True, comment="cus_…")
    user_id: Mapped[str | None] = mapped_column(
        comment="Whose what it buys is, where that names nobody: by customer_names, as prices and projects are now"
    )
    user_ref: Mapped[int | None] = mapped_column(
        ForeignKey("users.id"), comment="Whose checkouts and portal use it; null: not known in which project"
    )
    is_primary: Mapped[bool] = mapped_column(
        server_default=text("false"), comment="The one that checkout and portal use"
    )
    livemode: Mapped[bool | None] = mapped_column(comment="null: first heard of when it was gone")
    deleted_at: Mapped[datetime | None]
    created_at: Mapped[Recorded]


class CustomerName(Base):
    """One word about whose a customer is."""

    __tablename__ = "customer_names"
    __table_args__ = (
        PrimaryKeyConstraint("customer_id", "said_by"),
        CheckConstraint("rank BETWEEN 0 AND 3", name="rank"),
        Index("ix_customer_names_price_ids", "price_ids", postgresql_using="gin"),
        Index("ix_customer_names_project", "project"),
        {
            "comment": "All that was ever said is kept, of other apps too: which of it counts depends on projects and prices, "
            "and those change. Written under the customer's lock."
        },
    )

    customer_id: Mapped[str]
    said_by: Mapped[str] = mapped_column(comment="metadata, operator, or the complete session: cs_…")
    rank: Mapped[int] = mapped_column(
        SmallInteger,
        comment="The lowest counts, then the earliest: 0 its metadata, 1 an operator, 2 a session, 3 a session that names "
        "nobody itself and that an operator claimed",
    )
    user_id: Mapped[str]
    project: Mapped[str | None] = mapped_column(comment="As named with the user, whether it exists or not")
    price_ids: Mapped[list[str]] = mapped_column(
        ARRAY(Text()), server_default=text("'{}'::text[]"), comment="What the session sold; it counts if any is ours"
    )
    created: Mapped[datetime | None] = mapped_column(comment="The session's, by Stripe's clock")
