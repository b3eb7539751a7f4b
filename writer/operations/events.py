"""What operators do with received events: look at them, and replay them, which has their objects applied again."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.db.readings import Readings
from writer.db.transaction import Transactions
from writer.domain.stripe.event import Ignored, parse_event
from writer.domain.stripe.fields import ShapeError
from writer.domain.stripe.kinds import KIND_OF_TYPE
from writer.operations import audit, received
from writer.operations.audit import Act, Actor
from writer.operations.received import EventFilter, EventPage, EventStatus, ReceivedEvent, filter_to_json, statement
from writer.refusals import ConflictError


@dataclass(frozen=True, slots=True)
class Replayed:
    """Which events are pending again; in a rehearsal, which would be."""

    ids: tuple[str, ...]
    objects: int


class Events:
    """Every method raises RefusedError where it will not; `on_commit` is called after something was committed."""

    def __init__(self, transactions: Transactions, readings: Readings, on_commit: Callable[[], None]) -> None:
        self._transactions = transactions
        self._readings = readings
        self._on_commit = on_commit

    async def list(self, chosen: EventFilter, after: str | None, limit: int) -> EventPage:
        """Received events, a page at a time."""
        return await self._readings.run(lambda connection: received.list_page(connection, chosen, after, limit))

    async def find(self, event_id: str) -> tuple[ReceivedEvent, Any]:
        """One event with its payload."""
        return await self._transactions.run(lambda connection: received.find(connection, event_id))

    async def replay(self, event_id: str, actor: Actor, reason: str | None) -> Replayed:
        """Have one event applied again; a running writer finds it within a second."""
        done = await self._transactions.run(lambda connection: _replay_one(connection, event_id, actor, reason))
        self._on_commit()
        return done

    async def count(self, chosen: EventFilter) -> Replayed:
        """What `replay_all` would have applied again."""
        return await self._transactions.run(lambda connection: _count(connection, chosen))

    async def replay_all(self, chosen: EventFilter, actor: Actor, reason: str | None) -> Replayed:
        """Have every event that is meant applied again, except those that are not ours to apply."""
        done = await self._transactions.run(lambda connection: _replay_all(connection, chosen, actor, reason))
        self._on_commit()
        return done

    async def statuses(self, ids: Collection[str]) -> dict[EventStatus, int]:
        """How many of these events are in which state by now."""

        async def work(connection: AsyncConnection) -> dict[EventStatus, int]:
            rows = await connection.execute(_STATUSES, {"ids": [*ids]})
            return {EventStatus(row.status): row.events for row in rows}

        return await self._transactions.run(work)


async def _replay_one(connection: AsyncConnection, event_id: str, actor: Actor, reason: str | None) -> Replayed:
    """Make one event pending again, whatever became of it; ConflictError `event_not_ours` where it never can be."""
    event, payload = await received.find(connection, event_id)
    obstacle = _obstacle(event, payload)
    if obstacle is not None:
        raise ConflictError("event_not_ours", f"event {event_id} cannot be applied: {obstacle}")
    await connection.execute(_REPLAY, {"ids": [event_id]})
    before, after = {"status": event.status.value}, {"status": EventStatus.PENDING.value}
    act = Act("event.replay", None, f"event:{event_id}", reason, before, after)
    await audit.record(connection, actor, act)
    return Replayed((event_id,), 1)


async def _count(connection: AsyncConnection, chosen: EventFilter) -> Replayed:
    """What `replay_all` would make pending again."""
    rows = (await connection.execute(_REPLAYABLE, _parameters(chosen))).all()
    return _replayed(rows)


async def _replay_all(connection: AsyncConnection, chosen: EventFilter, actor: Actor, reason: str | None) -> Replayed:
    """Make every event that is meant pending again, except those that are not ours to apply."""
    rows = (await connection.execute(_LOCK_REPLAYABLE, _parameters(chosen))).all()
    done = _replayed(rows)
    if done.ids:
        await connection.execute(_REPLAY, {"ids": list(done.ids)})
        after = {"events": len(done.ids), "objects": done.objects, "filter": filter_to_json(chosen)}
        await audit.record(connection, actor, Act("event.replay", None, "event:many", reason, after=after))
    return done


def _obstacle(event: ReceivedEvent, payload: Any) -> str | None:
    if event.status is EventStatus.IGNORED and event.reason == Ignored.MODE:
        return Ignored.MODE.value
    try:
        # In whatever mode it was sent: what its mode excludes was told apart above.
        ignored = parse_event(payload).ignored(livemode=event.livemode)
    except ShapeError:
        return None  # the next try says it again, with the field that is wrong
    return None if ignored is None else ignored.value


def _parameters(chosen: EventFilter) -> dict[str, Any]:
    return {
        **received.parameters_of(chosen),
        "known_types": sorted(KIND_OF_TYPE),
        "for_good": [Ignored.MODE.value, Ignored.OBJECT.value, Ignored.CONNECT.value],
        "by_type": Ignored.TYPE.value,
    }


def _replayed(rows: Sequence[Row[Any]]) -> Replayed:
    return Replayed(tuple(row.id for row in rows), len({row.object_id for row in rows}))


# What was ignored on receipt stays so, unless this release knows a type that an earlier one did not.
_REPLAYABLE_SQL: Final = """
SELECT e.id, e.object_id FROM webhook_events e
WHERE {meant} AND e.object_id IS NOT NULL AND e.account IS NULL
    AND (e.status <> 'ignored' OR e.last_error IS NULL OR (e.last_error <> ALL(CAST(:for_good AS text[]))
        AND (e.last_error <> :by_type OR e.type = ANY(CAST(:known_types AS text[])))))
ORDER BY e.id"""
_REPLAYABLE: Final = statement(_REPLAYABLE_SQL)
_LOCK_REPLAYABLE: Final = statement(_REPLAYABLE_SQL + " FOR NO KEY UPDATE OF e")

# One that a writer works on at this moment stays its: it is only due at once should that try fail.
_REPLAY: Final = text("""
UPDATE webhook_events SET status = 'pending', attempts = 0, next_attempt_at = now(), replayed_at = now(),
    processed_at = NULL,
    claimed_by = CASE WHEN status = 'pending' THEN claimed_by END,
    claimed_until = CASE WHEN status = 'pending' THEN claimed_until END
WHERE id = ANY(CAST(:ids AS text[]))
""")

_STATUSES: Final = text("""
SELECT status, count(*) AS events FROM webhook_events WHERE id = ANY(CAST(:ids AS text[])) GROUP BY status
""")
