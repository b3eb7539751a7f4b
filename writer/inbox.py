"""Inbox: a received event becomes a durable row, exactly once, before anybody is told that it was received."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from common import tracing
from common.clock import to_datetime
from common.trail import current, followed, of_event
from writer.db.direct import Statement
from writer.domain.stripe.event import Event, Ignored

_MOST_TOGETHER: Final = 64


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


@dataclass(frozen=True, slots=True)
class _Arrival:
    """An event that waits for its row."""

    row: Mapping[str, object]
    ignored: bool
    stored: asyncio.Future[Stored]


class Inbox:
    """Stores events for one writer. `claim` seconds: how long others leave its new events to it.

    One purchase makes Stripe send a dozen events at once. What arrives while a statement is under way is stored
    together by the next one: nobody waits longer for it, and Postgres and this process do a fraction of the work.
    """

    def __init__(self, engine: AsyncEngine, instance: str, claim: float) -> None:
        self._engine = engine
        self._instance = instance
        self._claim = claim
        self._arrivals: deque[_Arrival] = deque()
        self._storing: asyncio.Task[None] | None = None

    async def store(self, event: Event, raw: bytes, origin: Origin, ignored: Ignored | None) -> Stored:
        """Commit the event. Only the primary key decides whether it is a duplicate."""
        with followed(of_event(event.id)), tracing.span("inbox store", type=event.type, event_id=event.id):
            return await self._store(event, raw, origin, ignored)

    async def _store(self, event: Event, raw: bytes, origin: Origin, ignored: Ignored | None) -> Stored:
        row = {
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
            "trail": orjson.dumps(current().to_json()).decode(),
        }
        arrival = _Arrival(row, ignored is not None, asyncio.get_running_loop().create_future())
        self._arrivals.append(arrival)
        if self._storing is None:
            self._storing = asyncio.create_task(self._store_all(), name="inbox")
        return await arrival.stored

    async def _store_all(self) -> None:
        try:
            while self._arrivals:
                together = [self._arrivals.popleft() for _ in range(min(len(self._arrivals), _MOST_TOGETHER))]
                await self._store_together(together)
        finally:
            self._storing = None

    async def _store_together(self, arrivals: list[_Arrival]) -> None:
        try:
            added = await self._insert(arrivals)
        except BaseException as error:
            if len(arrivals) > 1 and isinstance(error, DBAPIError) and not error.connection_invalidated:
                # One of them holds what Postgres refuses: each for itself, so that the others are not refused with it.
                for arrival in arrivals:
                    await self._store_together([arrival])
                return
            _fail(arrivals, error)
            if not isinstance(error, Exception):
                raise
            return
        for arrival in arrivals:
            outcome = Stored.DUPLICATE
            if arrival.row["id"] in added:
                added.discard(arrival.row["id"])  # the same event twice in one batch: the second is the duplicate
                outcome = Stored.IGNORED if arrival.ignored else Stored.PENDING
            if not arrival.stored.done():
                arrival.stored.set_result(outcome)

    async def _insert(self, arrivals: list[_Arrival]) -> set[object]:
        columns = {name: [arrival.row[name] for arrival in arrivals] for name in arrivals[0].row}
        # One statement is its own transaction: no round trips for BEGIN and COMMIT on the way to the answer.
        rows = await _STORE.run_alone(self._engine, {**columns, "instance": self._instance, "claim": self._claim})
        return {row.id for row in rows}


def _fail(arrivals: list[_Arrival], error: BaseException) -> None:
    for arrival in arrivals:
        if not arrival.stored.done():
            if isinstance(error, Exception):
                arrival.stored.set_exception(error)
            else:
                arrival.stored.cancel()


_STORE: Final = Statement("""
INSERT INTO webhook_events (id, type, object_id, api_version, created, livemode, account, origin, payload,
    trail, status, last_error, processed_at, claimed_by, claimed_until)
SELECT id, type, object_id, api_version, created, livemode, account, origin, payload,
    CAST(trail AS json), CASE WHEN ignored IS NULL THEN 'pending' ELSE 'ignored' END,
    ignored,
    CASE WHEN ignored IS NULL THEN NULL ELSE now() END,
    CASE WHEN ignored IS NULL THEN CAST(:instance AS text) END,
    CASE WHEN ignored IS NULL THEN now() + make_interval(secs => CAST(:claim AS double precision)) END
FROM unnest(CAST(:id AS text[]), CAST(:type AS text[]), CAST(:object_id AS text[]), CAST(:api_version AS text[]),
    CAST(:created AS timestamptz[]), CAST(:livemode AS boolean[]), CAST(:account AS text[]), CAST(:origin AS text[]),
    CAST(:payload AS bytea[]), CAST(:ignored AS text[]), CAST(:trail AS text[]))
    AS e(id, type, object_id, api_version, created, livemode, account, origin, payload, ignored, trail)
ON CONFLICT (id) DO NOTHING
RETURNING id
""")
