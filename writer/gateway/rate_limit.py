"""How often Stripe may be asked: never more than `STRIPE_MAX_RPS` in any second, payers before background work."""

import asyncio
import heapq
import itertools
from collections import deque
from enum import IntEnum
from typing import Final, Protocol

_WINDOW: Final = 1.0


class Urgency(IntEnum):
    """Who waits for the answer; the lower goes first."""

    PAYER = 0
    BACKGROUND = 1


class RateLimiter(Protocol):
    """Lets a request pass when its turn has come. One that counts across writers fits here too."""

    async def acquire(self, urgency: Urgency) -> None:
        """Return when one request may be sent."""
        ...


class WindowLimiter:
    """At most `max_rps` requests in any `window` seconds, in this process.

    A bucket that refills while it is drained lets nearly twice its size through within a second; Stripe counts
    by the second, so this one remembers when its last requests went.
    """

    def __init__(self, max_rps: int, window: float = _WINDOW) -> None:
        self._passed: deque[float] = deque(maxlen=max_rps)
        self._most = max_rps
        self._window = window
        self._waiting: list[tuple[Urgency, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    async def acquire(self, urgency: Urgency) -> None:
        """Return when one request may be sent; a more urgent one overtakes."""
        if not self._waiting and self._pass():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (urgency, next(self._order), turn))
        self._schedule()
        await turn

    def _pass(self) -> bool:
        now = asyncio.get_running_loop().time()
        if len(self._passed) == self._most and now - self._passed[0] < self._window:
            return False
        self._passed.append(now)
        return True

    def _schedule(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._passed[0] + self._window, self._release)

    def _release(self) -> None:
        self._timer = None
        while self._waiting:
            turn = self._waiting[0][2]
            if not turn.done() and not self._pass():
                self._schedule()
                return
            heapq.heappop(self._waiting)
            if not turn.done():  # else its caller gave up: the slot stays free
                turn.set_result(None)
