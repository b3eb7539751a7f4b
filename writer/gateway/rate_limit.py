"""How often Stripe may be asked: never more than `STRIPE_MAX_RPS` in any second, payers before background work."""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import IntEnum
from typing import Final, Generic, Protocol, TypeVar

T = TypeVar("T")

_WINDOW: Final = 1.0


class Urgency(IntEnum):
    """Who waits for the answer; the lower goes first."""

    PAYER = 0
    BACKGROUND = 1


class RateLimiter(Protocol):
    """Lets a request pass when its turn has come."""

    def turn(self, urgency: Urgency) -> AbstractAsyncContextManager[None]:
        """One request may be sent within, at once; leave when its answer, or none, is there.

        Raises StripeUnavailableError where no turn can be had now.
        """
        ...

    def slow_down(self, seconds: float) -> None:
        """Stripe asked for fewer requests: background work waits for so long. It never blocks."""
        ...


class Turns(Generic[T]):
    """Who waits for a turn in this process, and in which order: the more urgent first, then the earlier."""

    def __init__(self) -> None:
        self._heap: list[tuple[Urgency, int, asyncio.Future[T]]] = []
        self._order = itertools.count()

    def add(self, urgency: Urgency) -> asyncio.Future[T]:
        """Wait; cancelling the future gives the place up."""
        turn: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._heap, (urgency, next(self._order), turn))
        return turn

    def count(self, urgency: Urgency) -> int:
        """How many of that urgency wait."""
        return sum(one is urgency and not turn.done() for one, _, turn in self._heap)

    def first(self) -> Urgency | None:
        """How urgent the next one is; None: nobody waits."""
        while self._heap and self._heap[0][2].done():  # its caller gave up
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def give(self, turn: T) -> bool:
        """Give the next one its turn; False: nobody waits."""
        if self.first() is None:
            return False
        heapq.heappop(self._heap)[2].set_result(turn)
        return True

    def drain(self) -> Iterator[asyncio.Future[T]]:
        """Everybody who waits, to be told that it is of no use."""
        while self.first() is not None:
            yield heapq.heappop(self._heap)[2]


class WindowLimiter:
    """At most `max_rps` requests in any `window` seconds, for a process that is alone with its Stripe.

    A bucket that refills while it is drained lets nearly twice its size through within a second; Stripe counts
    by the second, so this one remembers when its last requests went.
    """

    def __init__(self, max_rps: int, window: float = _WINDOW) -> None:
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
