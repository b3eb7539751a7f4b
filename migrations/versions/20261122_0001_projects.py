"""Projects, their apps, keys and users, and the lineage of the database."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    _lineage()
    _projects()
    _apps()
    _api_keys()
    _users()


def downgrade() -> None:
    op.drop_table("users")
    op.drop_table("api_keys")
    op.drop_table("apps")
    op.drop_table("projects")
    op.drop_table("lineage")


def _lineage() -> None:
    op.create_table(
        "lineage",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("identity", sa.Text(), nullable=False, comment="system identifier : timeline : database oid"),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_lineage_single_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lineage")),
        comment="One row. identity names the cluster, its timeline and the database as the writer last saw them; where it differs from what the server says, every project gets a new epoch before anything else.",
    )


def _projects() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False, comment="{p} in keys and routes"),
        sa.Column("name", sa.Text(), nullable=False),
        *_history_columns(),
        sa.Column(
            "return_hosts",
            sa.ARRAY(sa.Text()),
            server_default="{}",
            nullable=False,
            comment="Hosts that a checkout or portal may return to",
        ),
        sa.Column("portal_configuration", sa.Text(), nullable=True, comment="Stripe's bpc_… for this project's portal"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("public_id ~ '^[A-Za-z0-9_.-]{1,64}$'", name=op.f("ck_projects_public_id_form")),
        sa.CheckConstraint("epoch > 0 AND revision >= 0 AND user_count >= 0", name=op.f("ck_projects_counts")),
        sa.CheckConstraint("octet_length(digest) = 16", name=op.f("ck_projects_digest_length")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("public_id", name=op.f("uq_projects_public_id")),
        comment="The row is the head of its project's history and the last lock of every transaction: whoever holds it gives the next revision and writes document, history, digest and outbox under it.",
        postgresql_with={"fillfactor": 20},
    )


def _history_columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column(
            "epoch",
            sa.BigInteger(),
            nullable=False,
            comment="Names a lineage of revisions; rises whenever revisions could go back. Unix seconds when it began, or more, so that two restores of one backup never share an epoch.",
        ),
        sa.Column(
            "revision",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Last committed revision: gapless, rising in commit order, never going back in an epoch",
        ),
        sa.Column(
            "home_oid",
            postgresql.OID(),
            nullable=False,
            comment="tableoid of this row when its epoch began. A plain restore makes new tables: the two differ, no revision is given, and the project gets a new epoch first.",
        ),
        sa.Column(
            "user_count",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Non-empty documents at this revision",
        ),
        sa.Column(
            "digest",
            sa.LargeBinary(),
            server_default=sa.text("'\\x00000000000000000000000000000000'::bytea"),
            nullable=False,
            comment="XOR of the 128-bit hashes of all non-empty documents at this revision",
        ),
        sa.Column(
            "catalog_version",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Version in force; a document computed with another one is computed again",
        ),
    )


def _apps() -> None:
    op.create_table(
        "apps",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_apps_project_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_apps")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_apps_project_id_name")),
        comment="What holds keys: a web app, a worker, a sidecar.",
    )


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("app_id", sa.BigInteger(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False, comment="First characters, for people to recognise it"),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "last_used_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="To the minute: it is not written on every request",
        ),
        sa.CheckConstraint("octet_length(hash) = 32", name=op.f("ck_api_keys_hash_length")),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_api_keys_app_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_keys_hash")),
        comment="A key is shown once and kept as SHA-256 of its 256 random bits. It is good until it expires or is revoked.",
    )
    op.create_index("ix_api_keys_app_id", "api_keys", ["app_id"], unique=False)


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False, comment="{u} in keys: a person, an organisation, a device"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("char_length(user_id) BETWEEN 1 AND 255", name=op.f("ck_users_user_id_length")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_users_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("project_id", "user_id", name=op.f("uq_users_project_id_user_id")),
        comment="Locked before a user's sources are read or written, so that two sources of one user cannot miss each other.",
    )
