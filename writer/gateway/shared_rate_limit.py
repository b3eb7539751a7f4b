"""The rate limit that all writers and commands keep together: whoever waits here for a turn gets one of the slots."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Final, Self

from sqlalchemy.ext.asyncio import AsyncEngine

from writer.gateway.errors import StripeUnavailableError, UnpacedError
from writer.gateway.rate_limit import Turns, Urgency
from writer.gateway.slots import ARRIVES_WITHIN, Slot, Slots
from writer.supervision import Outage, is_outage
from writer.wakeup import Wakeup

_log = logging.getLogger(__name__)

_STALE: Final = ARRIVES_WITHIN / 2
"""A slot that took so long to get is given back: too little of its time is left to send in."""

_SHORTEST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = {Urgency.PAYER: 0.05, Urgency.BACKGROUND: 0.25}
"""Between two looks for a free slot; other writers leave theirs without telling us."""

_PAYER_PATIENCE: Final = 15.0
"""Seconds that a payer's request waits for its turn; their browser, or a proxy, gives up at 30."""


class SharedLimiter:
    """Turns for one process, out of what all share. Use as an async context manager, or `close` it.

    Payers go first: in this process always; elsewhere, background work takes no slot while a payer waits.
    """

    def __init__(self, engine: AsyncEngine, max_rps: int) -> None:
        self._slots = Slots(engine, max_rps)
        self._turns: Turns[Slot] = Turns()
        self._used: list[Slot] = []
        self._unused: list[Slot] = []
        self._slow_down = 0.0
        self._wakeup = Wakeup()
        self._work: asyncio.Task[None] | None = None
        self._closed = False
        self._outage = Outage("Postgres, for turns at Stripe")
        self.waited = dict.fromkeys(Urgency, 0.0)
        """Seconds that requests waited for their turn, in all."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End. Slots that were not left yet count as left a moment later."""
        self._closed = True
        while self._work is not None and not self._work.done():
            self._work.cancel()
            with suppress(asyncio.CancelledError):
                await self._work

    def waiting(self, urgency: Urgency) -> int:
        """How many requests of this process wait for their turn."""
        return self._turns.count(urgency)

    @asynccontextmanager
    async def turn(self, urgency: Urgency) -> AsyncIterator[None]:
        """One request may be sent within.

        Raises:
            UnpacedError: The database does not answer.
            StripeUnavailableError: A payer waited too long, behind other payers.
        """
        slot = await self._wait(urgency)
        try:
            yield
        finally:
            self._used.append(slot)
            self._look_soon()

    def slow_down(self, seconds: float) -> None:
        """Let the background work of all writers wait for so long."""
        self._slow_down = max(self._slow_down, seconds)
        self._look_soon()

    async def _wait(self, urgency: Urgency) -> Slot:
        time = asyncio.get_running_loop().time
        began = time()
        turn = self._turns.add(urgency)
        self._look_soon()
        try:
            async with asyncio.timeout(_PAYER_PATIENCE if urgency is Urgency.PAYER else None):
                return await turn
        except BaseException as error:
            if not turn.cancelled() and turn.exception() is None:  # it came just as its caller gave up
                self._unused.append(turn.result())
                self._look_soon()
            if isinstance(error, TimeoutError):
                raise StripeUnavailableError("more payers ask than STRIPE_MAX_RPS lets through") from None
            raise
        finally:
            self.waited[urgency] += time() - began

    def _look_soon(self) -> None:
        self._wakeup.notify()
        if not self._closed and (self._work is None or self._work.done()):
            self._work = asyncio.create_task(self._serve(), name="turns at Stripe")

    async def _serve(self) -> None:
        """Give turns while somebody waits, and leave what was taken."""
        while self._turns.first() is not None or self._used or self._unused or self._slow_down:
            try:
                pause = await self._step()
            except Exception as error:  # whoever waits must hear of it, and goes on from there
                self._give_up(error)
            else:
                self._outage.worked()
                if pause is not None:
                    await self._wakeup.wait(pause)

    async def _step(self) -> float | None:
        """One round; the seconds to wait before the next, None where nobody waits."""
        if self._slow_down:
            seconds, self._slow_down = self._slow_down, 0.0
            await self._slots.slow_down(seconds)
        pause = await self._give() if self._turns.first() is not None else None
        if self._used or self._unused:
            used, self._used = self._used, []
            unused, self._unused = self._unused, []
            await self._slots.leave(used, unused)
        return pause

    async def _give(self) -> float | None:
        time = asyncio.get_running_loop().time
        asked = time()
        look = await self._slots.take(self._turns.count(Urgency.PAYER), self._turns.count(Urgency.BACKGROUND))
        stale = time() - asked > _STALE
        for slot in look.taken:
            if stale or not self._turns.give(slot):
                self._unused.append(slot)
        urgency = self._turns.first()
        if urgency is None:
            return None
        if urgency is Urgency.PAYER:
            await self._slots.payer_waits()
        return min(max(look.next, _SHORTEST_PAUSE), _LONGEST_PAUSE[urgency])

    def _give_up(self, error: Exception) -> None:
        """Nobody may send anything: they are told, and ask again. What was taken is left in time by itself."""
        away = is_outage(error)
        if away:
            self._outage.failed(error)
        else:
            _log.error("no turns at Stripe", exc_info=error)
        self._used, self._unused, self._slow_down = [], [], 0.0
        for turn in self._turns.drain():
            turn.set_exception(UnpacedError() if away else error)
