"""How often Stripe may be asked: never more than `STRIPE_MAX_RPS` in any second, payers before background work."""

import asyncio
import heapq
import itertools
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from enum import IntEnum
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


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
