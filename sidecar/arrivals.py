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
        self._given_up = 0

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
            if arrived.cancelled():
                self._forget_some()
        return True

    def reached(self, position: Position) -> None:
        """The copy stands at `position`."""
        while self._waiting and self._waiting[0][0] <= position:
            arrived = heapq.heappop(self._waiting)[2]
            if arrived.cancelled():
                self._given_up -= 1
            elif not arrived.done():
                arrived.set_result(None)

    def _forget_some(self) -> None:
        # Only once they are the most: thousands who give up together must not each walk through all the others.
        self._given_up += 1
        if self._given_up * 2 > len(self._waiting):
            self._waiting = [entry for entry in self._waiting if not entry[2].cancelled()]
            heapq.heapify(self._waiting)
            self._given_up = 0
