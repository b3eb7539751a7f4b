"""Stripe's events as received, work in progress, and who did what."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from writer.db.models.base import Base, Recorded, RowId


class WebhookEvent(Base):
    """One Stripe event, raw, and what became of it."""

    __tablename__ = "webhook_events"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'applied', 'superseded', 'ignored', 'parked')", name="status"),
        CheckConstraint("origin IN ('webhook', 'sweep', 'poll', 'resend')", name="origin"),
        Index("ix_webhook_events_due", "next_attempt_at", postgresql_where=text("status = 'pending'")),
        Index("ix_webhook_events_pending_object", "object_id", postgresql_where=text("status = 'pending'")),
        Index("ix_webhook_events_object_id_created", "object_id", "created"),
        Index("ix_webhook_events_received_at", "received_at"),
        Index("ix_webhook_events_parked", "received_at", postgresql_where=text("status = 'parked'")),
        {
            "comment": "Stripe is acknowledged only after this row is committed, and the primary key alone decides what is a "
            "duplicate. pending → applied | superseded (something newer was known) | ignored (not ours to apply) | parked "
            "(gave up, with its error); replay makes it pending again."
        },
    )

    id: Mapped[str] = mapped_column(primary_key=True, comment="evt_…")
    type: Mapped[str]
    object_id: Mapped[str | None] = mapped_column(comment="What the event is a hint about; null: nothing of ours")
    api_version: Mapped[str | None]
    created: Mapped[datetime] = mapped_column(comment="Stripe's, in seconds")
    livemode: Mapped[bool]
    account: Mapped[str | None] = mapped_column(comment="Set on Connect events, which are never applied")
    origin: Mapped[str]
    payload: Mapped[bytes] = mapped_column(comment="The bytes whose signature was verified")
    status: Mapped[str] = mapped_column(server_default="pending")
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    next_attempt_at: Mapped[Recorded]
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None] = mapped_column(
        comment="Until then one writer works on it; after that, anybody may"
    )
    last_error: Mapped[str | None] = mapped_column(comment="Why it was ignored, retried or parked")
    received_at: Mapped[Recorded]
    processed_at: Mapped[datetime | None]
    replayed_at: Mapped[datetime | None] = mapped_column(
        comment="When an operator last replayed it: its object is fetched, whatever is held"
    )
    trail: Mapped[Any | None] = mapped_column(
        JSON(none_as_null=True),
        comment="request_id, traceparent of the request that brought it; for logs and traces only",
    )


class RecomputeJob(Base):
    """Many users to be computed again, in resumable chunks."""

    __tablename__ = "recompute_jobs"
    __table_args__ = (
        Index("ix_recompute_jobs_open", "id", postgresql_where=text("finished_at IS NULL")),
        {"comment": "cursor is the last user done: a job that was cut off goes on behind it."},
    )

    id: Mapped[RowId]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    cause: Mapped[str] = mapped_column(comment="catalog:VERSION or operator:NAME")
    targets: Mapped[Any | None] = mapped_column(
        comment="Price and product ids, and feature:CODE for manual grants, whose holders are meant; null: every user"
    )
    cursor: Mapped[int] = mapped_column(server_default="0", comment="users.id of the last one done")
    done: Mapped[int] = mapped_column(server_default="0")
    failed: Mapped[int] = mapped_column(
        server_default="0", comment="Users who could not be computed; the audit log names them"
    )
    total: Mapped[int | None] = mapped_column(comment="Users that were meant when it was made; null: not counted")
    attempts: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="Failures that halved the chunk, less the successes since"
    )
    next_attempt_at: Mapped[Recorded]
    last_error: Mapped[str | None]
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None]
    created_at: Mapped[Recorded]
    finished_at: Mapped[datetime | None]


class AuditLog(Base):
    """Who changed what, when, and from where."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_project_id_id", "project_id", "id"),
        Index("ix_audit_log_subject", "subject"),
        {"comment": "Append-only. Written in the transaction of the act itself. Holds no secret."},
    )

    id: Mapped[RowId]
    at: Mapped[Recorded]
    actor: Mapped[str] = mapped_column(comment="admin-key:PREFIX, cli:NAME, console:…, stripe, system")
    action: Mapped[str] = mapped_column(comment="project.create, key.revoke, grant.create, user.recompute …")
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id"))
    subject: Mapped[str] = mapped_column(comment="What it was done to: user:…, key:…, event:…")
    reason: Mapped[str | None]
    before: Mapped[Any | None]
    after: Mapped[Any | None]
    origin: Mapped[str | None] = mapped_column(comment="The caller's address, where there was one")


class IdempotentRequest(Base):
    """An admin write with an idempotency key, and what it was answered."""

    __tablename__ = "idempotent_requests"
    __table_args__ = (
        CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint_length"),
        Index("ix_idempotent_requests_created_at", "created_at"),
        {"comment": "Admin writes with an Idempotency-Key, kept for a day. Refusals change nothing and are not kept."},
    )

    key: Mapped[str] = mapped_column(primary_key=True, comment="As the caller sent it")
    fingerprint: Mapped[bytes] = mapped_column(comment="SHA-256 of method, path, query and body")
    claim: Mapped[str] = mapped_column(comment="Which attempt works on it, or did last")
    claimed_until: Mapped[datetime] = mapped_column(
        comment="Until then nobody else may; after that, anybody, unless acted_at is set"
    )
    acted_at: Mapped[datetime | None] = mapped_column(
        comment="Set in the act's own transaction: from then on it is never carried out again"
    )
    status: Mapped[int | None] = mapped_column(Integer, comment="What was answered; null: nothing yet, or it is lost")
    media: Mapped[str | None]
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[bytes | None] = mapped_column(comment="Without what is shown only once")
    created_at: Mapped[Recorded]


class AskedLogLevel(Base):
    """A log level that an operator asked for, of all writers."""

    __tablename__ = "log_levels"
    __table_args__ = (
        CheckConstraint("level IN ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')", name="level"),
        {"comment": "Every writer looks here again and again. Without a row, or after until, LOG_LEVEL counts."},
    )

    logger: Mapped[str] = mapped_column(primary_key=True, comment="Such as writer.pipeline; empty: all of them")
    level: Mapped[str]
    until: Mapped[datetime | None] = mapped_column(comment="null: until it is taken back")
    actor: Mapped[str]
    set_at: Mapped[Recorded]


class Backup(Base):
    """A backup that was made of this database."""

    __tablename__ = "backups"
    __table_args__ = (
        {
            "comment": "A row for each backup that was made, whether its file is still there or not; the writer's metrics read it."
        },
    )

    id: Mapped[RowId]
    made_at: Mapped[datetime] = mapped_column(comment="Which moment it shows")
    file: Mapped[str] = mapped_column(comment="Its name in the folder of backups")
    size: Mapped[int] = mapped_column(comment="Bytes")
    sha256: Mapped[str] = mapped_column(unique=True)
    schema_revision: Mapped[str | None]
    verified_at: Mapped[datetime | None] = mapped_column(
        comment="When it was last restored into a scratch database and found equal; null: never"
    )


class Retention(Base):
    """How far one kind of old rows was removed."""

    __tablename__ = "retention"
    __table_args__ = (
        {
            "comment": "A row for each kind of rows that grow old. Whoever holds its lock removes the next few, so one writer at a time."
        },
    )

    kind: Mapped[str] = mapped_column(primary_key=True, comment="What is removed by this pass")
    cursor: Mapped[str] = mapped_column(
        server_default="", comment="The last one that was looked at; empty: a pass begins"
    )
    removed: Mapped[int] = mapped_column(server_default="0", comment="Rows, by this and all earlier passes")
    next_at: Mapped[Recorded]
    finished_at: Mapped[datetime | None] = mapped_column(comment="When the last whole pass ended")
