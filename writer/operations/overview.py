"""How the whole stands, at a glance: events, and what waits for an operator."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, from_datetime, to_datetime

HOURS: Final = 24
"""How far back events are counted."""


@dataclass(frozen=True, slots=True)
class Hour:
    """Events received within one hour. `lag`: seconds from receipt until applied, of the slowest twentieth at least."""

    begins: Instant
    received: int
    lag: float | None
    """None: none of them was worked on."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Events of the last day, and what waits."""

    hours: Sequence[Hour]
    """Every hour, also those without an event; the last one has not ended."""
    pending: int
    oldest_pending: float
    """Since how many seconds the oldest event waits; 0: none does."""
    parked: int
    unassigned: int


async def read(connection: AsyncConnection, now: Instant) -> Overview:
    """As it stands."""
    waiting = (await connection.execute(_WAITING)).one()
    since = to_datetime(now).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    hours = [_hour(row) for row in await connection.execute(_EVENTS, {"since": since, "hours": HOURS})]
    return Overview(
        hours=hours,
        pending=waiting.pending,
        oldest_pending=float(waiting.oldest),
        parked=waiting.parked,
        unassigned=waiting.unassigned,
    )


def _hour(row: Row[Any]) -> Hour:
    return Hour(from_datetime(row.hour), row.received, None if row.lag is None else float(row.lag))


# What a replay or a sweep took up again says nothing of how quick webhooks are.
_EVENTS: Final = text("""
SELECT h.hour, count(e.id) AS received,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM e.processed_at - e.received_at))
        FILTER (WHERE e.processed_at IS NOT NULL AND e.replayed_at IS NULL AND e.status <> 'ignored') AS lag
FROM generate_series(CAST(:since AS timestamptz), CAST(:since AS timestamptz)
        + (CAST(:hours AS integer) - 1) * interval '1 hour', interval '1 hour') AS h(hour)
    LEFT JOIN webhook_events e ON e.received_at >= h.hour AND e.received_at < h.hour + interval '1 hour'
GROUP BY h.hour ORDER BY h.hour
""")

_WAITING: Final = text("""
SELECT (SELECT count(*) FROM webhook_events WHERE status = 'parked') AS parked,
    (SELECT count(*) FROM subscriptions WHERE unassigned_reason IS NOT NULL
        AND status NOT IN ('canceled', 'incomplete_expired'))
        + (SELECT count(*) FROM purchases WHERE unassigned_reason IS NOT NULL) AS unassigned,
    count(*) AS pending, coalesce(extract(epoch FROM now() - min(received_at)), 0) AS oldest
FROM webhook_events WHERE status = 'pending'
""")
