"""The record of opened checkouts: what makes a double click or a retry get the same session."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, from_datetime, to_datetime


@dataclass(frozen=True, slots=True)
class Session:
    """A checkout session as its payer's app needs it."""

    id: str
    url: str
    expires_at: Instant


@dataclass(frozen=True, slots=True)
class Recorded:
    """A session that was opened before, and what for."""

    session: Session
    fingerprint: bytes


async def with_key(connection: AsyncConnection, project_id: int, idempotency_key: str) -> Recorded | None:
    """The session that this idempotency key opened, while it is remembered."""
    parameters = {"project_id": project_id, "idempotency_key": idempotency_key}
    return _recorded((await connection.execute(_WITH_KEY, parameters)).one_or_none())


async def open_like(connection: AsyncConnection, user_ref: int, fingerprint: bytes, now: Instant) -> Recorded | None:
    """An open session of an equal request, the newest."""
    parameters = {"user_ref": user_ref, "fingerprint": fingerprint, "now": to_datetime(now)}
    return _recorded((await connection.execute(_OPEN_LIKE, parameters)).one_or_none())


async def closed_like(connection: AsyncConnection, user_ref: int, fingerprint: bytes, now: Instant) -> int:
    """How many equal requests have come to their end: paid, or expired."""
    parameters = {"user_ref": user_ref, "fingerprint": fingerprint, "now": to_datetime(now)}
    return int((await connection.execute(_CLOSED_LIKE, parameters)).scalar_one())


async def earlier(connection: AsyncConnection, session_id: str, open_ones: list[str], now: Instant) -> list[str]:
    """What the same user opened before this session and may have paid, or may still pay; oldest first.

    That is whatever is out of `open_ones`, which Stripe says are open, or is not known to have ended.
    """
    parameters = {"session_id": session_id, "open": open_ones, "now": to_datetime(now)}
    rows = await connection.execute(_EARLIER, parameters)
    return list(rows.scalars())


async def add(
    connection: AsyncConnection,
    session: Session,
    user_ref: int,
    project_id: int,
    fingerprint: bytes,
    idempotency_key: str | None,
) -> None:
    """Record a session; nothing happens where it, or another one with its idempotency key, is recorded already."""
    parameters = {
        "session_id": session.id,
        "project_id": project_id,
        "user_ref": user_ref,
        "idempotency_key": idempotency_key,
        "fingerprint": fingerprint,
        "url": session.url,
        "expires_at": to_datetime(session.expires_at),
    }
    await connection.execute(_ADD, parameters)


async def close(connection: AsyncConnection, session_id: str, *, complete: bool, now: Instant) -> None:
    """The session cannot be paid any more: it is complete, or it expired, and then its key is free again."""
    statement = _COMPLETE if complete else _EXPIRE
    await connection.execute(statement, {"session_id": session_id, "now": to_datetime(now)})


def _recorded(row: Any) -> Recorded | None:
    if row is None:
        return None
    return Recorded(Session(row.session_id, row.url, from_datetime(row.expires_at)), row.fingerprint)


_WITH_KEY: Final = text("""
SELECT session_id, url, expires_at, fingerprint FROM checkout_requests
WHERE project_id = :project_id AND idempotency_key = :idempotency_key
""")

_OPEN_LIKE: Final = text("""
SELECT session_id, url, expires_at, fingerprint FROM checkout_requests
WHERE user_ref = :user_ref AND fingerprint = :fingerprint AND completed_at IS NULL AND expires_at > :now
ORDER BY created_at DESC, session_id LIMIT 1
""")

_CLOSED_LIKE: Final = text("""
SELECT count(*) FROM checkout_requests
WHERE user_ref = :user_ref AND fingerprint = :fingerprint AND (completed_at IS NOT NULL OR expires_at <= :now)
""")

_EARLIER: Final = text("""
SELECT o.session_id FROM checkout_requests m JOIN checkout_requests o ON o.user_ref = m.user_ref
WHERE m.session_id = :session_id
    AND (o.session_id = ANY(:open) OR o.completed_at IS NULL AND o.expires_at > :now)
    AND (o.created_at, o.session_id) < (m.created_at, m.session_id)
ORDER BY o.created_at, o.session_id
""")

# Rows of one user are written under that user's lock: by the clock, not the transaction's start, they have its order.
_ADD: Final = text("""
INSERT INTO checkout_requests
    (session_id, project_id, user_ref, idempotency_key, fingerprint, url, expires_at, created_at)
VALUES (:session_id, :project_id, :user_ref, :idempotency_key, :fingerprint, :url, :expires_at, clock_timestamp())
ON CONFLICT DO NOTHING
""")

_COMPLETE: Final = text("""
UPDATE checkout_requests SET completed_at = :now WHERE session_id = :session_id AND completed_at IS NULL
""")

_EXPIRE: Final = text("""
UPDATE checkout_requests SET expires_at = least(expires_at, :now), idempotency_key = NULL
WHERE session_id = :session_id
""")
