"""Projects, the apps that belong to them, their keys, and the lineage of the database itself."""

from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import OID
from sqlalchemy.orm import Mapped, mapped_column

from writer.db.models.base import Base, Recorded, RowId


class Lineage(Base):
    """Which database this is; a difference to what is recorded means that revisions may have gone back."""

    __tablename__ = "lineage"
    __table_args__ = (
        CheckConstraint("id = 1", name="single_row"),
        {
            "comment": "One row. identity names the cluster, its timeline and the database as the writer last saw them; "
            "where it differs from what the server says, every project gets a new epoch before anything else."
        },
    )

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    identity: Mapped[str] = mapped_column(comment="system identifier : timeline : database oid")
    recorded_at: Mapped[Recorded]


class Project(Base):
    """One app family's world of users, features and revisions."""

    __tablename__ = "projects"
    __table_args__ = (
        CheckConstraint("public_id ~ '^[A-Za-z0-9_.-]{1,64}$'", name="public_id_form"),
        CheckConstraint("epoch > 0 AND revision >= 0 AND user_count >= 0", name="counts"),
        CheckConstraint("octet_length(digest) = 16", name="digest_length"),
        {
            "comment": "The row is the head of its project's history and the last lock of every transaction: whoever "
            "holds it gives the next revision and writes document, history, digest and outbox under it.",
            # Every revision rewrites the row: room on the page keeps the update off the indexes.
            "postgresql_with": {"fillfactor": 20},
        },
    )

    id: Mapped[RowId]
    public_id: Mapped[str] = mapped_column(unique=True, comment="{p} in keys and routes")
    name: Mapped[str]
    epoch: Mapped[int] = mapped_column(
        comment="Names a lineage of revisions; rises whenever revisions could go back. Unix seconds when it began, "
        "or more, so that two restores of one backup never share an epoch."
    )
    revision: Mapped[int] = mapped_column(
        server_default="0",
        comment="Last committed revision: gapless, rising in commit order, never going back in an epoch",
    )
    home_oid: Mapped[int] = mapped_column(
        OID,
        comment="tableoid of this row when its epoch began. A plain restore makes new tables: the two differ, no "
        "revision is given, and the project gets a new epoch first.",
    )
    user_count: Mapped[int] = mapped_column(server_default="0", comment="Non-empty documents at this revision")
    digest: Mapped[bytes] = mapped_column(
        server_default=text(r"'\x00000000000000000000000000000000'::bytea"),
        comment="XOR of the 128-bit hashes of all non-empty documents at this revision",
    )
    catalog_version: Mapped[int] = mapped_column(
        server_default="0", comment="Version in force; a document computed with another one is computed again"
    )
    return_hosts: Mapped[list[str]] = mapped_column(
        ARRAY(Text), server_default="{}", comment="Hosts that a checkout or portal may return to"
    )
    portal_configuration: Mapped[str | None] = mapped_column(comment="Stripe's bpc_… for this project's portal")
    created_at: Mapped[Recorded]


class App(Base):
    """One of a project's apps: what a key is given to."""

    __tablename__ = "apps"
    __table_args__ = (
        UniqueConstraint("project_id", "name"),
        {"comment": "What holds keys: a web app, a worker, a sidecar."},
    )

    id: Mapped[RowId]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    created_at: Mapped[Recorded]
    disabled_at: Mapped[datetime | None] = mapped_column(comment="Set: none of its keys is good")


class ApiKey(Base):
    """A bearer key of one app, and so of one project."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("octet_length(hash) = 32", name="hash_length"),
        Index("ix_api_keys_app_id", "app_id"),
        {
            "comment": "A key is shown once and kept as SHA-256 of its 256 random bits. It is good until it expires or is revoked."
        },
    )

    id: Mapped[RowId]
    app_id: Mapped[int] = mapped_column(ForeignKey("apps.id", ondelete="CASCADE"))
    prefix: Mapped[str] = mapped_column(comment="First characters, for people to recognise it")
    hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[Recorded]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None] = mapped_column(comment="To the minute: it is not written on every request")


class User(Base):
    """A subject in one project; its row is the lock under which its sources are read."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("project_id", "user_id"),
        CheckConstraint("char_length(user_id) BETWEEN 1 AND 255", name="user_id_length"),
        Index("ix_users_erased_at", "erased_at", postgresql_where=text("erased_at IS NOT NULL")),
        Index("ix_users_merged_into", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
        {
            "comment": "Locked before a user's sources are read or written, so that two sources of one user cannot miss each other."
        },
    )

    id: Mapped[RowId]
    project_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("projects.id"))
    user_id: Mapped[str] = mapped_column(comment="{u} in keys: a person, an organisation, a device")
    created_at: Mapped[Recorded]
    merged_into: Mapped[int | None] = mapped_column(
        BigInteger,
        ForeignKey("users.id", name="fk_users_merged_into_users"),
        comment="The user who this one turned out to be, whose is whatever names this one; null: nobody else",
    )
    erased_at: Mapped[datetime | None] = mapped_column(
        comment="Set: user_id is a pseudonym, and nothing tells whose it was"
    )
