"""What users may do, how that came about, and what is still to be told to sidecars."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, PrimaryKeyConstraint, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from writer.db.models.base import Base, Recorded, RowId


class ManualGrant(Base):
    """A feature given by an operator."""

    __tablename__ = "manual_grants"
    __table_args__ = (
        CheckConstraint("valid_to IS NULL OR valid_from < valid_to", name="period"),
        CheckConstraint("(revoked_at IS NULL) = (revoked_by IS NULL)", name="revocation"),
        Index("ix_manual_grants_user_ref", "user_ref"),
        {"comment": "Never deleted: a revocation says when, by whom and why."},
    )

    id: Mapped[RowId]
    user_ref: Mapped[int] = mapped_column(ForeignKey("users.id"))
    feature_code: Mapped[str]
    value: Mapped[Any | None]
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None] = mapped_column(comment="null: for life")
    reason: Mapped[str]
    actor: Mapped[str]
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)
    created_at: Mapped[Recorded]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None]
    revoke_reason: Mapped[str | None]


class Document(Base):
    """A user's document as it stands."""

    __tablename__ = "documents"
    __table_args__ = (
        CheckConstraint("octet_length(digest) = 16", name="digest_length"),
        Index("ix_documents_project_id_user_ref", "project_id", "user_ref"),
        {
            "comment": "Written only under the project's lock, together with history, outbox and the project's digest. Never "
            "deleted: who lost everything has an empty document. Its epoch is its project's."
        },
    )

    user_ref: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    user_id: Mapped[str]
    revision: Mapped[int] = mapped_column(comment="The project's revision that last changed it")
    digest: Mapped[bytes] = mapped_column(comment="Its part in the project's digest; zeros where it is empty")
    computed_at: Mapped[datetime]
    is_empty: Mapped[bool]
    body: Mapped[Any] = mapped_column(JSON, comment="The document's entitlements, in its public shape and order")


class Entitlement(Base):
    """One row of a user's document, for people and reports to query."""

    __tablename__ = "entitlements"
    __table_args__ = (
        PrimaryKeyConstraint("user_ref", "revision", "position"),
        CheckConstraint("source IN ('subscription', 'purchase', 'manual')", name="source"),
        Index("ix_entitlements_project_id_user_id", "project_id", "user_id"),
        {
            "comment": "Current rows only, the same that documents.body holds. It grants while valid_from <= now < valid_to."
        },
    )

    user_ref: Mapped[int] = mapped_column(ForeignKey("users.id"))
    revision: Mapped[int]
    position: Mapped[int] = mapped_column(
        SmallInteger, comment="Order in the document, from 0; best first within a feature"
    )
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    user_id: Mapped[str]
    feature_code: Mapped[str]
    source: Mapped[str]
    source_ref: Mapped[str] = mapped_column(comment="sub_…, cs_… or a manual grant's id")
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None] = mapped_column(comment="null: for life")
    value: Mapped[Any | None]


class EntitlementHistory(Base):
    """What a user held from one revision on, and what caused it."""

    __tablename__ = "entitlement_history"
    __table_args__ = (
        PrimaryKeyConstraint("project_id", "epoch", "revision"),
        Index("ix_entitlement_history_user_ref_recorded_at", "user_ref", "recorded_at"),
        {
            "comment": "Append-only, one row for each revision that changed a document: the past can be read back from it."
        },
    )

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    epoch: Mapped[int]
    revision: Mapped[int]
    user_ref: Mapped[int] = mapped_column(ForeignKey("users.id"))
    user_id: Mapped[str]
    recorded_at: Mapped[datetime]
    catalog_version: Mapped[int]
    cause: Mapped[str] = mapped_column(comment="evt_…, confirm:cs_…, grant:…, catalog:…, reconcile:…, operator:…")
    body: Mapped[Any] = mapped_column(JSON)


class Outbox(Base):
    """A revision to be told to Redis and sidecars."""

    __tablename__ = "outbox"
    __table_args__ = (
        PrimaryKeyConstraint("project_id", "epoch", "revision"),
        CheckConstraint("op IN ('user', 'catalog')", name="op"),
        CheckConstraint("octet_length(digest) = 16", name="digest_length"),
        {
            "comment": "Written in the transaction of its revision. Kept for a while after it was relayed, because sidecars "
            "that cannot reach Redis read it; then trimmed from the oldest on, so what is left has no gap."
        },
    )

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    epoch: Mapped[int]
    revision: Mapped[int]
    op: Mapped[str]
    user_ref: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    body: Mapped[Any] = mapped_column(JSON, comment="The whole document or catalogue, in its public shape")
    user_count: Mapped[int] = mapped_column(comment="Non-empty documents after this revision")
    digest: Mapped[bytes] = mapped_column(comment="The project's digest after this revision")
    received_at: Mapped[datetime | None] = mapped_column(comment="When what caused it reached the writer")
    trail: Mapped[Any | None] = mapped_column(
        JSON(none_as_null=True), comment="request_id, event_id, traceparent of what caused it; for logs and traces only"
    )
    committed_at: Mapped[Recorded]


class RelayLease(Base):
    """Who may relay a project now, and how far relaying has come."""

    __tablename__ = "relay_leases"
    __table_args__ = (
        {
            "comment": "One relay a project at a time, on the database's clock. fence rises with each new owner; the cursor "
            "moves only with the fence that it was read with.",
            "postgresql_with": {"fillfactor": 20},
        },
    )

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    owner: Mapped[str | None] = mapped_column(comment="The writer's instance name; null: free")
    fence: Mapped[int] = mapped_column(server_default="0")
    expires_at: Mapped[datetime] = mapped_column(server_default=text("'-infinity'"))
    relayed_epoch: Mapped[int] = mapped_column(server_default="0")
    relayed_revision: Mapped[int] = mapped_column(
        server_default="0", comment="Everything up to here is in Redis, or was"
    )
