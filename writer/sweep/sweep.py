"""The sweep: reads Stripe's event list behind a cursor, again and again, in whichever writer has the lease.

What is older than the cursor was seen, but for what Stripe listed late: ten minutes behind it are read again. What the
list no longer holds is left to a reconcile run.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import SECOND, Clock, Instant, format_time
from writer.db.transaction import Transactions
from writer.gateway.errors import StripeRefusedError, StripeUnavailableError
from writer.inbox import Origin
from writer.reconcile.runs import request_run
from writer.supervision import DATABASE_FAULTS, Outage, is_waited_out, jittered
from writer.sweep.cursor import Cursor, LeaseLostError
from writer.sweep.metrics import SweepMetrics
from writer.sweep.reader import EventReader

_log = logging.getLogger(__name__)

OVERLAP_SECONDS: Final = 600
"""How far behind the cursor is read again: Stripe lists an event some moments after it made it."""
SHORT_OVERLAP_SECONDS: Final = 30
"""The same between two polls, most of which find nothing."""
STRIPE_KEEPS_SECONDS: Final = 28 * 86_400
"""Stripe lists events for thirty days; a little less, so that none goes while it is read."""
SLICE_SECONDS: Final = 6 * 3_600
"""A long outage is read in parts, the oldest first: a writer that dies meanwhile leaves only one of them to do anew."""
FIRST_READ_WITHIN: Final = 5.0
"""Seconds after the start; an outage may just have ended."""
AGAIN_AFTER: Final = 30.0
"""Seconds, at the most, after a failure."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the list is read, and how often as far back as OVERLAP_SECONDS. Seconds."""

    every: float
    deep_every: float
    origin: Origin

    @property
    def youngest(self) -> float:
        """How long an event is left to its webhook; where polling stands in for webhooks, none comes."""
        return 0.0 if self.origin is Origin.POLL else min(60.0, self.every / 5)


def pace(poll: float | None, sweep_every: float) -> Pace:
    """By the settings STRIPE_POLL and STRIPE_SWEEP_EVERY."""
    if poll is None:
        return Pace(sweep_every, 0.0, Origin.SWEEP)
    return Pace(poll, sweep_every, Origin.POLL)


class Sweep:
    """One writer's part in it; `run` in the background of each."""

    def __init__(
        self,
        reader: EventReader,
        cursor: Cursor,
        transactions: Transactions,
        clock: Clock,
        metrics: SweepMetrics,
        pace: Pace,
    ) -> None:
        self._reader = reader
        self._cursor = cursor
        self._transactions = transactions
        self._clock = clock
        self._metrics = metrics
        self._pace = pace
        self._deep_at: float | None = None
        self._outage = Outage("Stripe's event list")

    async def run(self) -> None:
        """Read the list every while, until cancelled; faults of Stripe and of the database are waited out."""
        pause = min(self._pace.every, FIRST_READ_WITHIN)
        while True:
            await asyncio.sleep(jittered(pause))
            pause = self._pace.every
            try:
                # Timers of several writers drift: not due by a little is due.
                await self.once(due_after=self._pace.every * 0.75)
            except LeaseLostError:
                _log.info("another writer reads Stripe's event list now")
            except (StripeUnavailableError, StripeRefusedError, *DATABASE_FAULTS) as error:
                if isinstance(error, DATABASE_FAULTS) and not is_waited_out(error):
                    raise
                self._outage.failed(error)
                self._metrics.read(well=False)
                pause = min(pause, AGAIN_AFTER)
            else:
                self._outage.worked()

    async def once(self, due_after: float = 0.0) -> int | None:
        """Read the list to its end; how many events were missing. None: another writer does, or just did.

        Raises StripeUnavailableError, StripeRefusedError, LeaseLostError and DATABASE_FAULTS; what was found until then
        is committed.
        """
        if not await self._cursor.take(due_after):
            self._metrics.stands(await self._cursor.read())
            return None
        finished = False
        try:
            found = await self._read(await self._begin())
            finished = True
        finally:
            await self._cursor.leave(finished=finished)
        self._metrics.read(well=True)
        if found:
            level = logging.INFO if self._pace.origin is Origin.POLL else logging.WARNING
            _log.log(level, "events found that were not delivered count=%d", found)
        return found

    async def _begin(self) -> Instant:
        """Where to go on. An account that was never listened to begins now: what was before is an import's work."""
        now = self._clock.now()
        cursor = await self._cursor.read()
        if cursor is None:
            cursor = await self._cursor.newest_received() or now
        if now - cursor <= STRIPE_KEEPS_SECONDS * SECOND:
            return cursor
        _log.warning("Stripe's event list no longer reaches back to %s: a reconcile run begins", format_time(cursor))

        async def begin_anew(connection: AsyncConnection) -> None:
            await request_run(connection, "sweep", full=True)
            await self._cursor.advance(connection, now)

        await self._transactions.run(begin_anew)
        return now

    async def _read(self, cursor: Instant) -> int:
        since, found = Instant(cursor - self._overlap() * SECOND), 0
        while self._clock.now() - since > SLICE_SECONDS * SECOND:
            until = Instant(since + SLICE_SECONDS * SECOND)
            found += (await self._reader.read(since, until, self._cursor.keep))[1]
            await self._advance(until)
            since = until
        read_to, missing = await self._reader.read(since, None, self._cursor.keep)
        await self._advance(read_to)
        return found + missing

    async def _advance(self, to: Instant) -> None:
        await self._transactions.run(lambda connection: self._cursor.advance(connection, to))
        self._metrics.stands(to)

    def _overlap(self) -> int:
        now = self._clock.monotonic()
        if self._deep_at is not None and now - self._deep_at < self._pace.deep_every:
            return SHORT_OVERLAP_SECONDS
        self._deep_at = now
        return OVERLAP_SECONDS
