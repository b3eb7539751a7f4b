"""What is sold: features, plans, catalogue versions, products and prices."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    _features()
    _plans()
    _plan_features()
    _catalog_versions()
    _products()
    _prices()


def downgrade() -> None:
    op.drop_table("prices")
    op.drop_table("products")
    op.drop_table("catalog_versions")
    op.drop_table("plan_features")
    op.drop_table("plans")
    op.drop_table("features")


def _features() -> None:
    op.create_table(
        "features",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="plain", nullable=False),
        sa.Column("name", sa.Text(), nullable=True, comment="For people"),
        sa.Column(
            "default_value",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
            comment="What everybody has; null: nothing",
        ),
        sa.Column(
            "combine",
            sa.Text(),
            server_default="max",
            nullable=False,
            comment="How limits of several sources become one",
        ),
        sa.Column("on_stale", sa.Text(), nullable=True, comment="A too old copy's answer; null: as the sidecar is set"),
        sa.Column(
            "origin",
            sa.Text(),
            nullable=False,
            comment="catalog: from catalog.yaml or the admin API; stripe: named in Stripe's metadata",
        ),
        sa.CheckConstraint("code ~ '^[A-Za-z0-9_.-]{1,64}$'", name=op.f("ck_features_code_form")),
        sa.CheckConstraint("combine IN ('max', 'sum')", name=op.f("ck_features_combine")),
        sa.CheckConstraint("kind IN ('plain', 'limit', 'config')", name=op.f("ck_features_kind")),
        sa.CheckConstraint("on_stale IN ('serve', 'deny', 'allow')", name=op.f("ck_features_on_stale")),
        sa.CheckConstraint("origin IN ('catalog', 'stripe')", name=op.f("ck_features_origin")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_features_project_id")),
        sa.PrimaryKeyConstraint("project_id", "code", name=op.f("pk_features")),
        comment="Edited only together with catalog_versions, in one revision of the project.",
    )


def _plans() -> None:
    op.create_table(
        "plans",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False, comment="price_… or prod_…"),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column(
            "rank",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Higher wins where configurations conflict",
        ),
        sa.CheckConstraint("origin IN ('catalog', 'stripe')", name=op.f("ck_plans_origin")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_plans_project_id")),
        sa.PrimaryKeyConstraint("project_id", "target", "origin", name=op.f("pk_plans")),
        comment="The first that speaks for a price counts: catalog for the price, catalog for its product, stripe for the price, stripe for its product. A plan without features speaks too: it grants nothing.",
    )


def _plan_features() -> None:
    op.create_table(
        "plan_features",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("feature_code", sa.Text(), nullable=False),
        sa.Column(
            "value",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
            comment="null for a plain feature",
        ),
        sa.Column(
            "per_unit",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="A limit that is multiplied by the quantity",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "feature_code"], ["features.project_id", "features.code"], name="fk_plan_features_feature"
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "target", "origin"],
            ["plans.project_id", "plans.target", "plans.origin"],
            name="fk_plan_features_plan",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "target", "origin", "feature_code", name=op.f("pk_plan_features")),
        comment="Without any row a plan grants nothing, which is not the same as not speaking.",
    )


def _catalog_versions() -> None:
    op.create_table(
        "catalog_versions",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="From 1, gapless within the project"),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False, comment="The project's revision that this version is"),
        sa.Column(
            "definition",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=False,
            comment="features, plans and prices, as writer.domain.catalogue reads them",
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_catalog_versions_project_id")),
        sa.PrimaryKeyConstraint("project_id", "version", name=op.f("pk_catalog_versions")),
        comment="Append-only. What a document was computed with can be read back at any later time.",
    )


def _products() -> None:
    op.create_table(
        "products",
        sa.Column("id", sa.Text(), nullable=False, comment="prod_…"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=True, comment="null: nobody's yet"),
        sa.Column(
            "metadata",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_products_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
        comment="Mirror of Stripe; Stripe is right.",
    )


def _prices() -> None:
    op.create_table(
        "prices",
        sa.Column("id", sa.Text(), nullable=False, comment="price_…"),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column(
            "unit_amount", sa.BigInteger(), nullable=True, comment="In the currency's smallest unit; null for tiers"
        ),
        sa.Column("interval", sa.Text(), nullable=True, comment="day, week, month, year; null for one_time"),
        sa.Column("interval_count", sa.BigInteger(), nullable=True),
        sa.Column("nickname", sa.Text(), nullable=True),
        sa.Column("lookup_key", sa.Text(), nullable=True),
        sa.Column("grant_days", sa.BigInteger(), nullable=True, comment="How long a purchase grants; null: for life"),
        sa.Column(
            "project_id",
            sa.BigInteger(),
            nullable=True,
            comment="From its metadata, its product's, or the catalogue that names it; null: nobody's yet",
        ),
        sa.Column(
            "metadata",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.CheckConstraint("type IN ('one_time', 'recurring')", name=op.f("ck_prices_type")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_prices_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prices")),
        comment="Mirror of Stripe; Stripe is right. A price may arrive before its product, so there is no foreign key.",
    )
    op.create_index("ix_prices_product_id", "prices", ["product_id"], unique=False)
    op.create_index("ix_prices_project_id", "prices", ["project_id"], unique=False)
