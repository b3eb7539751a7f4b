"""What is sold: features, the plans that grant them, and Stripe's products and prices."""

from typing import Any

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from writer.db.models.base import Base, Recorded


class Feature(Base):
    """A feature of a project, in the version in force."""

    __tablename__ = "features"
    __table_args__ = (
        CheckConstraint("code ~ '^[A-Za-z0-9_.-]{1,64}$'", name="code_form"),
        CheckConstraint("kind IN ('plain', 'limit', 'config')", name="kind"),
        CheckConstraint("combine IN ('max', 'sum')", name="combine"),
        CheckConstraint("on_stale IN ('serve', 'deny', 'allow')", name="on_stale"),
        CheckConstraint("origin IN ('catalog', 'stripe')", name="origin"),
        {"comment": "Edited only together with catalog_versions, in one revision of the project."},
    )

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(server_default="plain")
    name: Mapped[str | None] = mapped_column(comment="For people")
    default_value: Mapped[Any | None] = mapped_column(comment="What everybody has; null: nothing")
    combine: Mapped[str] = mapped_column(server_default="max", comment="How limits of several sources become one")
    on_stale: Mapped[str | None] = mapped_column(comment="A too old copy's answer; null: as the sidecar is set")
    origin: Mapped[str] = mapped_column(
        comment="catalog: from catalog.yaml or the admin API; stripe: named in Stripe's metadata"
    )


class Plan(Base):
    """What buying a price, or any price of a product, grants."""

    __tablename__ = "plans"
    __table_args__ = (
        CheckConstraint("origin IN ('catalog', 'stripe')", name="origin"),
        {
            "comment": "The first that speaks for a price counts: catalog for the price, catalog for its product, stripe for "
            "the price, stripe for its product. A plan without features speaks too: it grants nothing."
        },
    )

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True, comment="price_… or prod_…")
    origin: Mapped[str] = mapped_column(primary_key=True)
    rank: Mapped[int] = mapped_column(server_default="0", comment="Higher wins where configurations conflict")


class PlanFeature(Base):
    """One feature of a plan."""

    __tablename__ = "plan_features"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "target", "origin"],
            ["plans.project_id", "plans.target", "plans.origin"],
            ondelete="CASCADE",
            name="fk_plan_features_plan",
        ),
        ForeignKeyConstraint(
            ["project_id", "feature_code"], ["features.project_id", "features.code"], name="fk_plan_features_feature"
        ),
        {"comment": "Without any row a plan grants nothing, which is not the same as not speaking."},
    )

    project_id: Mapped[int] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)
    origin: Mapped[str] = mapped_column(primary_key=True)
    feature_code: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any | None] = mapped_column(comment="null for a plain feature")
    per_unit: Mapped[bool] = mapped_column(
        server_default=text("false"), comment="A limit that is multiplied by the quantity"
    )


class CatalogVersion(Base):
    """A catalogue as it was in force, whole."""

    __tablename__ = "catalog_versions"
    __table_args__ = (
        {"comment": "Append-only. What a document was computed with can be read back at any later time."},
    )

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, comment="From 1, gapless within the project")
    epoch: Mapped[int]
    revision: Mapped[int] = mapped_column(comment="The project's revision that this version is")
    definition: Mapped[dict[str, Any]] = mapped_column(
        comment="features, plans and prices, as writer.domain.catalogue reads them"
    )
    actor: Mapped[str]
    created_at: Mapped[Recorded]


class Product(Base):
    """A Stripe product, as last seen."""

    __tablename__ = "products"
    __table_args__ = ({"comment": "Mirror of Stripe; Stripe is right."},)

    id: Mapped[str] = mapped_column(primary_key=True, comment="prod_…")
    name: Mapped[str]
    description: Mapped[str | None]
    active: Mapped[bool]
    livemode: Mapped[bool]
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id"), comment="null: nobody's yet")
    features: Mapped[list[str]] = mapped_column(
        ARRAY(Text),
        server_default=text("'{}'::text[]"),
        comment="Lookup keys of the features attached at Stripe, sorted, as read last; no payload carries them",
    )
    attributes: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'::jsonb"))


class Price(Base):
    """A Stripe price, as last seen."""

    __tablename__ = "prices"
    __table_args__ = (
        CheckConstraint("type IN ('one_time', 'recurring')", name="type"),
        Index("ix_prices_product_id", "product_id"),
        Index("ix_prices_project_id", "project_id"),
        {
            "comment": "Mirror of Stripe; Stripe is right. A price may arrive before its product, so there is no foreign key."
        },
    )

    id: Mapped[str] = mapped_column(primary_key=True, comment="price_…")
    product_id: Mapped[str]
    type: Mapped[str]
    active: Mapped[bool]
    livemode: Mapped[bool]
    currency: Mapped[str]
    unit_amount: Mapped[int | None] = mapped_column(comment="In the currency's smallest unit; null for tiers")
    interval: Mapped[str | None] = mapped_column(comment="day, week, month, year; null for one_time")
    interval_count: Mapped[int | None]
    nickname: Mapped[str | None]
    lookup_key: Mapped[str | None]
    grant_days: Mapped[int | None] = mapped_column(comment="How long a purchase grants; null: for life")
    project_id: Mapped[int | None] = mapped_column(
        ForeignKey("projects.id"),
        comment="From its metadata, its product's, or the catalogue that names it; null: nobody's yet",
    )
    attributes: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'::jsonb"))
