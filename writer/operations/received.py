"""Stripe's events as they were received: which there are, and what became of each."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import orjson
from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, format_time, from_datetime, to_datetime
from writer.refusals import InvalidError, UnknownError

MOST_ON_A_PAGE: Final = 500


class EventStatus(StrEnum):
    """What became of an event; the values are `webhook_events.status`."""

    PENDING = "pending"
    APPLIED = "applied"
    SUPERSEDED = "superseded"
    IGNORED = "ignored"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are meant; what is None does not matter. `type` may end with `*`."""

    statuses: tuple[EventStatus, ...] = ()
    type: str | None = None
    object_id: str | None = None
    since: Instant | None = None
    """Received then or later."""
    until: Instant | None = None
    """Received before."""


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """One event without its payload."""

    id: str
    type: str
    object_id: str | None
    api_version: str | None
    created: Instant
    livemode: bool
    account: str | None
    origin: str
    status: EventStatus
    attempts: int
    next_attempt_at: Instant | None
    """Only while it waits."""
    reason: str | None
    """Why it was ignored or parked, or why its last try failed."""
    received_at: Instant
    processed_at: Instant | None


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, those received last first; `next` is the `after` of the following page, None on the last one."""

    events: tuple[ReceivedEvent, ...]
    next: str | None


async def list_page(connection: AsyncConnection, chosen: EventFilter, after: str | None, limit: int) -> EventPage:
    """A page; `after` is the id of the last event of the page before."""
    if not 1 <= limit <= MOST_ON_A_PAGE:
        raise InvalidError("invalid_limit", f"limit must be a whole number from 1 to {MOST_ON_A_PAGE}")
    parameters = {**parameters_of(chosen), "after": after, "limit": limit + 1}
    if after is not None:
        await find(connection, after)
    rows = [_event(row) for row in await connection.execute(_LIST, parameters)]
    return EventPage(tuple(rows[:limit]), rows[limit - 1].id if len(rows) > limit else None)


async def find(connection: AsyncConnection, event_id: str) -> tuple[ReceivedEvent, Any]:
    """One event and its payload; UnknownError `unknown_event`."""
    row = (await connection.execute(_FIND, {"id": event_id})).one_or_none()
    if row is None:
        raise UnknownError("unknown_event", f"no event {event_id} was received; billing events list shows what was")
    return _event(row), orjson.loads(row.payload)


def to_json(event: ReceivedEvent) -> dict[str, Any]:
    """The event as routes and `--json` show it."""
    return {
        "id": event.id,
        "type": event.type,
        "object_id": event.object_id,
        "status": event.status.value,
        "reason": event.reason,
        "attempts": event.attempts,
        "next_attempt_at": _time(event.next_attempt_at),
        "origin": event.origin,
        "api_version": event.api_version,
        "livemode": event.livemode,
        "account": event.account,
        "created": format_time(event.created),
        "received_at": format_time(event.received_at),
        "processed_at": _time(event.processed_at),
    }


def parameters_of(chosen: EventFilter) -> dict[str, Any]:
    """What `statement` needs for its condition."""
    exact, _, _ = (chosen.type or "").partition("*")
    return {
        "statuses": [status.value for status in chosen.statuses],
        "type": exact,
        "is_prefix": chosen.type is not None and chosen.type.endswith("*"),
        "object_id": chosen.object_id,
        "since": None if chosen.since is None else to_datetime(chosen.since),
        "until": None if chosen.until is None else to_datetime(chosen.until),
    }


def filter_to_json(chosen: EventFilter) -> dict[str, Any]:
    """The filter for the audit log."""
    return {
        "status": [status.value for status in chosen.statuses],
        "type": chosen.type,
        "object_id": chosen.object_id,
        "since": _time(chosen.since),
        "until": _time(chosen.until),
    }


def _event(row: Row[Any]) -> ReceivedEvent:
    status = EventStatus(row.status)
    return ReceivedEvent(
        id=row.id,
        type=row.type,
        object_id=row.object_id,
        api_version=row.api_version,
        created=from_datetime(row.created),
        livemode=row.livemode,
        account=row.account,
        origin=row.origin,
        status=status,
        attempts=row.attempts,
        next_attempt_at=from_datetime(row.next_attempt_at) if status is EventStatus.PENDING else None,
        reason=row.last_error,
        received_at=from_datetime(row.received_at),
        processed_at=_instant(row.processed_at),
    )


def _instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else from_datetime(moment)


def _time(instant: Instant | None) -> str | None:
    return None if instant is None else format_time(instant)


_COLUMNS: Final = """e.id, e.type, e.object_id, e.api_version, e.created, e.livemode, e.account, e.origin, e.status,
    e.attempts, e.next_attempt_at, e.last_error, e.received_at, e.processed_at"""

_MEANT: Final = """(cardinality(CAST(:statuses AS text[])) = 0 OR e.status = ANY(CAST(:statuses AS text[])))
    AND (CAST(:type AS text) = '' OR CASE WHEN CAST(:is_prefix AS boolean)
        THEN starts_with(e.type, CAST(:type AS text)) ELSE e.type = CAST(:type AS text) END)
    AND (CAST(:object_id AS text) IS NULL OR e.object_id = CAST(:object_id AS text))
    AND (CAST(:since AS timestamptz) IS NULL OR e.received_at >= CAST(:since AS timestamptz))
    AND (CAST(:until AS timestamptz) IS NULL OR e.received_at < CAST(:until AS timestamptz))"""


def statement(sql: str) -> TextClause:
    """SQL on events `e`, with {columns} for what they are read by and {meant} for the filter's condition."""
    return text(sql.format(columns=_COLUMNS, meant=_MEANT))


_LIST: Final = statement("""
SELECT {columns} FROM webhook_events e
WHERE {meant} AND (CAST(:after AS text) IS NULL OR (e.received_at, e.id) < (
    SELECT a.received_at, a.id FROM webhook_events a WHERE a.id = CAST(:after AS text)))
ORDER BY e.received_at DESC, e.id DESC LIMIT :limit
""")

_FIND: Final = statement("SELECT {columns}, e.payload FROM webhook_events e WHERE e.id = :id")
