"""Inbox: a received event becomes a durable row, exactly once, before anybody is told that it was received."""

from enum import StrEnum
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import to_datetime
from writer.domain.stripe.event import Event, Ignored


class Origin(StrEnum):
    """How an event reached us."""

    WEBHOOK = "webhook"
    SWEEP = "sweep"
    POLL = "poll"
    RESEND = "resend"


class Stored(StrEnum):
    """What became of an event at the inbox."""

    PENDING = "stored"
    """New; this writer holds the claim on it and must work on its object, or let the claim expire."""
    IGNORED = "ignored"
    """New, and kept, but not ours to apply."""
    DUPLICATE = "duplicate"
    """Its id is known; nothing was written."""


class Inbox:
    """Stores events for one writer. `claim` seconds: how long others leave its new events to it."""

    def __init__(self, engine: AsyncEngine, instance: str, claim: float) -> None:
        # One statement is its own transaction: no round trips for BEGIN and COMMIT on the way to the answer.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._instance = instance
        self._claim = claim

    async def store(self, event: Event, raw: bytes, origin: Origin, ignored: Ignored | None) -> Stored:
        """Commit the event. Only the primary key decides whether it is a duplicate."""
        parameters = {
            "id": event.id,
            "type": event.type,
            "object_id": event.object_id,
            "api_version": event.api_version,
            "created": to_datetime(event.created),
            "livemode": event.livemode,
            "account": event.account,
            "origin": origin.value,
            "payload": raw,
            "ignored": None if ignored is None else ignored.value,
            "instance": self._instance,
            "claim": self._claim,
        }
        async with self._engine.connect() as connection:
            row = (await connection.execute(_STORE, parameters)).one_or_none()
        if row is None:
            return Stored.DUPLICATE
        return Stored.PENDING if ignored is None else Stored.IGNORED


_STORE: Final = text("""
INSERT INTO webhook_events (id, type, object_id, api_version, created, livemode, account, origin, payload,
    status, last_error, processed_at, claimed_by, claimed_until)
SELECT :id, :type, :object_id, :api_version, :created, :livemode, :account, :origin, :payload,
    CASE WHEN i.reason IS NULL THEN 'pending' ELSE 'ignored' END,
    i.reason,
    CASE WHEN i.reason IS NULL THEN NULL ELSE now() END,
    CASE WHEN i.reason IS NULL THEN CAST(:instance AS text) END,
    CASE WHEN i.reason IS NULL THEN now() + make_interval(secs => CAST(:claim AS double precision)) END
FROM (SELECT CAST(:ignored AS text) AS reason) i
ON CONFLICT (id) DO NOTHING
RETURNING id
""")
