"""Requests that wait until the copy has a revision (`min_revision`)."""

import asyncio
import heapq
from itertools import count

from common.position import Position


class Arrivals:
    """Wakes each waiter once the copy stands at its position or beyond."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Position, int, asyncio.Future[None]]] = []
        self._numbers = count()

    async def wait(self, position: Position, seconds: float) -> bool:
        """Whether the copy came to `position` within `seconds`. Ask the copy first: this only hears what comes."""
        arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (position, next(self._numbers), arrived))
        try:
            async with asyncio.timeout(seconds):
                await arrived
        except TimeoutError:
            return False
        finally:
            if not arrived.done() or arrived.cancelled():
                self._forget(arrived)
        return True

    def reached(self, position: Position) -> None:
        """The copy stands at `position`."""
        while self._waiting and self._waiting[0][0] <= position:
            arrived = heapq.heappop(self._waiting)[2]
            if not arrived.done():
                arrived.set_result(None)

    def _forget(self, arrived: asyncio.Future[None]) -> None:
        self._waiting = [entry for entry in self._waiting if entry[2] is not arrived]
        heapq.heapify(self._waiting)
