"""A rate limit without Postgres, for one process that is alone with its stand-in."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from writer.gateway.rate_limit import Turns, Urgency


class WindowLimiter:
    """At most `max_rps` requests in any `window` seconds, for a process that is alone with its Stripe.

    A bucket that refills while it is drained lets nearly twice its size through within a second; Stripe counts
    by the second, so this one remembers when its last requests went.
    """

    def __init__(self, max_rps: int, window: float = 1.0) -> None:
        self._passed: deque[float] = deque(maxlen=max_rps)
        self._most = max_rps
        self._window = window
        self._turns: Turns[None] = Turns()
        self._timer: asyncio.TimerHandle | None = None
        self._slow_until = 0.0

    @asynccontextmanager
    async def turn(self, urgency: Urgency) -> AsyncIterator[None]:
        """One request may be sent within; a more urgent one overtakes."""
        turn = self._turns.add(urgency)
        if self._timer is not None:
            self._timer.cancel()  # it may be set for somebody less urgent
        self._release()
        await turn
        yield

    def slow_down(self, seconds: float) -> None:
        """Let background work wait."""
        self._slow_until = max(self._slow_until, asyncio.get_running_loop().time() + seconds)

    def _release(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while (urgency := self._turns.first()) is not None:
            free_at = self._passed[0] + self._window if len(self._passed) == self._most else 0.0
            if urgency is Urgency.BACKGROUND:
                free_at = max(free_at, self._slow_until)
            if loop.time() < free_at:
                self._timer = loop.call_at(free_at, self._release)
                return
            self._passed.append(loop.time())
            self._turns.give(None)
