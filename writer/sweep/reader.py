"""Reading the event list: whatever on it is not in the inbox is taken in, as if it had been delivered."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import SECOND, Instant
from writer.domain.stripe.event import Event, parse_event
from writer.domain.stripe.fields import ShapeError
from writer.gateway.pages import Json
from writer.gateway.stripe_events import TYPES, EventPage, StripeEvents
from writer.inbox import Origin, Stored
from writer.intake import Intake
from writer.supervision import DATABASE_FAULTS, is_waited_out
from writer.sweep.metrics import SweepMetrics

_log = logging.getLogger(__name__)


class EventReader:
    """Reads parts of the list, for one sweep.

    `youngest`: seconds that an event is left to its webhook, which is on its way; 0 where none comes.
    """

    def __init__(
        self,
        events: StripeEvents,
        engine: AsyncEngine,
        intake: Intake,
        metrics: SweepMetrics,
        *,
        origin: Origin,
        youngest: float,
    ) -> None:
        self._events = events
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._intake = intake
        self._metrics = metrics
        self._origin = origin
        self._youngest = round(youngest * SECOND)

    async def read(
        self, since: Instant, until: Instant | None, before_each: Callable[[], Awaitable[None]]
    ) -> tuple[Instant, int]:
        """Take in what is missing of all that was made from `since` on, and before `until`.

        The moment, by Stripe's clock, up to which the list was complete when it was read; and how many were missing.
        `before_each` page is called first. Raises Stripe's errors and DATABASE_FAULTS; what was found until then is
        committed.
        """
        parts = [await self._read(types, since, until, before_each) for types in TYPES]
        return min(began for began, _ in parts), sum(found for _, found in parts)

    async def _read(
        self, types: Sequence[str], since: Instant, until: Instant | None, before_each: Callable[[], Awaitable[None]]
    ) -> tuple[Instant, int]:
        began, after, found = None, None, 0
        while True:
            await before_each()
            page = await self._events.page(types, since, until, after)
            began = page.as_of if began is None else began
            found += await self._take_in(page)
            after = page.next
            if after is None:
                return began, found

    async def _take_in(self, page: EventPage) -> int:
        missing = await self._missing([one["id"] for one in page.events])
        ripe = [
            one
            for one in reversed(page.events)
            if one["id"] in missing and page.as_of - one["created"] * SECOND >= self._youngest
        ]
        return sum(await asyncio.gather(*(self._take(one) for one in ripe)))

    async def _take(self, one: Json) -> bool:
        try:
            event = parse_event(one)
            stored = await self._intake.take(event, orjson.dumps(one), self._origin)
        except ShapeError as error:
            _log.error("listed event unreadable event_id=%s reason=%r", one["id"], str(error))
            return False
        except DATABASE_FAULTS as error:
            if is_waited_out(error):
                raise
            # One that Postgres refuses must not end every sweep before the others are found.
            _log.exception("listed event cannot be stored event_id=%s", one["id"])
            return False
        return self._report(event, stored)

    def _report(self, event: Event, stored: Stored) -> bool:
        if stored is Stored.DUPLICATE:  # its webhook came meanwhile
            return False
        self._metrics.found(event.type, self._origin)
        words = (stored.value, event.type, event.id, event.object_id, self._origin.value)
        _log.info("listed event %s type=%s event_id=%s object=%s origin=%s", *words)
        return True

    async def _missing(self, ids: Sequence[str]) -> set[str]:
        """Those that are not in the inbox: a look beforehand, so that payloads are not sent to be refused."""
        async with self._engine.connect() as connection:
            return set((await connection.execute(_MISSING, {"ids": list(ids)})).scalars())


_MISSING: Final = text("""
SELECT l.id FROM unnest(CAST(:ids AS text[])) AS l(id)
WHERE NOT EXISTS (SELECT FROM webhook_events e WHERE e.id = l.id)
""")
