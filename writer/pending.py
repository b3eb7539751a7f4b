"""Pending events in Postgres: claimed by one writer for a while, settled, put off or parked."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.clock import Instant, from_datetime
from common.trail import Trail
from writer.apply import objects
from writer.db.direct import Statement
from writer.domain.stripe.watermark import Watermark


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest pending event of an object."""

    id: str
    type: str
    payload: bytes
    attempts: int
    received_at: Instant
    created: datetime
    read_at: datetime
    """By the database's clock: what had been received by then is part of any fetch that begins afterwards."""
    tied: bool
    """Another pending event was created in the same second."""
    held: Watermark
    """How current our copy of the object was then."""
    replayed: bool
    """It, or another pending event of the object, was replayed: only a fetch mends what went wrong."""
    trail: Trail
    """Where it came from."""


class PendingEvents:
    """One writer's view of the events that wait. `claim` seconds: how long others leave them to it."""

    def __init__(self, engine: AsyncEngine, instance: str, claim: float) -> None:
        self._engine = engine
        self._instance = instance
        self._claim = claim

    @property
    def claimed_for(self) -> float:
        """Seconds that a claim lasts."""
        return self._claim

    async def claim(self, most: int) -> list[str]:
        """Claim up to `most` events that are due and nobody's; their objects, those that waited longest first."""
        parameters = {"most": most, "instance": self._instance, "claim": self._claim}
        rows = await _CLAIM.run_alone(self._engine, parameters)
        return list(dict.fromkeys(row.object_id for row in rows))

    async def newest(self, object_id: str) -> Newest | None:
        """The newest pending event of the object; None: nothing waits."""
        rows = await _NEWEST.run_alone(self._engine, {"object_id": object_id})
        if not rows:
            return None
        row = rows[0]
        return Newest(
            id=row.id,
            type=row.type,
            payload=row.payload,
            attempts=row.attempts,
            received_at=from_datetime(row.received_at),
            created=row.created,
            read_at=row.read_at,
            tied=len(rows) > 1 and rows[1].created == row.created,
            held=objects.watermark(row),
            replayed=row.replayed,
            trail=replace(Trail.from_json(row.trail), event_id=row.id),
        )

    async def put_off(self, object_id: str, seen: Newest, pause: float, reason: str) -> None:
        """Try the object's events again after `pause` seconds; anybody may."""
        await self._execute(
            _PUT_OFF, {"object_id": object_id, "pause": pause, "reason": reason, "read_at": seen.read_at}
        )

    async def postpone(self, object_id: str, seen: Newest, pause: float) -> None:
        """Leave the object's events for `pause` seconds, to anybody; nothing was tried, so no try is counted."""
        await self._execute(_POSTPONE, {"object_id": object_id, "pause": pause, "read_at": seen.read_at})

    async def renew(self, object_ids: Collection[str]) -> None:
        """Keep what this writer has claimed of these objects for another while."""
        parameters = {"ids": list(object_ids), "instance": self._instance, "claim": self._claim}
        await self._execute(_RENEW, parameters)

    async def park(self, event_id: str, reason: str) -> None:
        """Give an event up until somebody replays it."""
        await self._execute(_PARK, {"id": event_id, "reason": reason})

    async def park_all(self, object_id: str, seen: Newest, reason: str) -> None:
        """Give up everything of the object that was received when `seen` was read."""
        await self._execute(_PARK_ALL, {"object_id": object_id, "reason": reason, "read_at": seen.read_at})

    async def release(self) -> None:
        """Leave to others what this writer claimed and did not finish."""
        await self._execute(_RELEASE, {"instance": self._instance})

    async def _execute(self, statement: Statement, parameters: dict[str, object]) -> None:
        await statement.run_alone(self._engine, parameters)


async def settle(
    connection: AsyncConnection, object_id: str, seen: Newest, status: str, reason: str | None, *, fetched: bool
) -> None:
    """Give the newest event its status; what is thereby no longer news is superseded.

    By a payload, that is what was created before it; where it is itself older than what is held, also what was created
    in the same second. By a fetch, all that had been received before the fetch.
    """
    by_payload = _SETTLE_AS_OLDER if status == "superseded" else _SETTLE_BY_PAYLOAD
    statement = _SETTLE_BY_FETCH if fetched else by_payload
    await statement.run(
        connection,
        {
            "object_id": object_id,
            "id": seen.id,
            "moment": seen.read_at if fetched else seen.created,
            "status": status,
            "reason": reason,
        },
    )


_CLAIM: Final = Statement("""
UPDATE webhook_events SET claimed_by = :instance,
    claimed_until = now() + make_interval(secs => CAST(:claim AS double precision))
WHERE id IN (
    SELECT id FROM webhook_events
    WHERE status = 'pending' AND next_attempt_at <= now() AND (claimed_until IS NULL OR claimed_until <= now())
    ORDER BY next_attempt_at LIMIT :most FOR UPDATE SKIP LOCKED)
RETURNING object_id
""")

_NEWEST: Final = Statement("""
SELECT e.id, e.type, e.payload, e.trail, e.attempts, e.received_at, e.created, now() AS read_at,
    EXISTS (SELECT FROM webhook_events r WHERE r.object_id = :object_id AND r.status = 'pending'
        AND r.replayed_at IS NOT NULL) AS replayed,
    o.event_created, o.fetched_at
FROM webhook_events e LEFT JOIN stripe_objects o ON o.id = e.object_id
WHERE e.object_id = :object_id AND e.status = 'pending'
ORDER BY e.created DESC, (e.type = 'customer.deleted') DESC, e.received_at DESC, e.id LIMIT 2
""")

_PUT_OFF: Final = Statement("""
UPDATE webhook_events SET attempts = attempts + 1, last_error = :reason, claimed_by = NULL, claimed_until = NULL,
    next_attempt_at = now() + make_interval(secs => CAST(:pause AS double precision))
WHERE object_id = :object_id AND status = 'pending' AND received_at <= :read_at
""")

_POSTPONE: Final = Statement("""
UPDATE webhook_events SET claimed_by = NULL, claimed_until = NULL,
    next_attempt_at = now() + make_interval(secs => CAST(:pause AS double precision))
WHERE object_id = :object_id AND status = 'pending' AND received_at <= :read_at
""")

_RENEW: Final = Statement("""
UPDATE webhook_events SET claimed_until = now() + make_interval(secs => CAST(:claim AS double precision))
WHERE object_id = ANY(CAST(:ids AS text[])) AND status = 'pending' AND claimed_by = :instance
""")

_PARK: Final = Statement("""
UPDATE webhook_events SET status = 'parked', attempts = attempts + 1, last_error = :reason, processed_at = now(),
    claimed_by = NULL, claimed_until = NULL
WHERE id = :id AND status = 'pending'
""")

_PARK_ALL: Final = Statement("""
UPDATE webhook_events SET status = 'parked', attempts = attempts + 1, last_error = :reason, processed_at = now(),
    claimed_by = NULL, claimed_until = NULL
WHERE object_id = :object_id AND status = 'pending' AND received_at <= :read_at
""")

_RELEASE: Final = Statement("""
UPDATE webhook_events SET claimed_by = NULL, claimed_until = NULL WHERE status = 'pending' AND claimed_by = :instance
""")

_SETTLE: Final = """
UPDATE webhook_events SET claimed_by = NULL, claimed_until = NULL, processed_at = now(),
    status = CASE WHEN id = :id THEN CAST(:status AS text) ELSE 'superseded' END,
    last_error = CASE WHEN id = :id THEN CAST(:reason AS text) ELSE last_error END
WHERE object_id = :object_id AND status = 'pending' AND (id = :id OR {} :moment)
"""
_SETTLE_BY_PAYLOAD: Final = Statement(_SETTLE.format("created <"))
_SETTLE_AS_OLDER: Final = Statement(_SETTLE.format("created <="))
_SETTLE_BY_FETCH: Final = Statement(_SETTLE.format("received_at <="))
