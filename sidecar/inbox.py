"""Between what brings changes and the follower that applies them: a bounded queue of a project's arrivals."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from common.clock import Instant
from common.wire import Message
from sidecar.sources import Source

MOST_WAITING: Final = 10_000  # what overflows during a long load is found in the change log again


class Signal(StrEnum):
    """What a feed has to say besides messages."""

    CONNECTED = "connected"
    """The subscription stands (again): what came before it is in the log only."""
    CHANGES_GONE = "changes_gone"
    """The writer cannot continue from where the copy stands."""
    AHEAD = "ahead"
    """The writer has not committed the copy's revision."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message or signal, where it came from, and when by both clocks."""

    what: Message | Signal
    source: Source
    at: float
    """Monotonic seconds."""
    received_at: Instant


class Inbox:
    """First in, first out. When it is full what comes is dropped: it will show as a gap, and be filled."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._queue: asyncio.Queue[Arrival] = asyncio.Queue(most)
        self.dropped = 0

    def put(self, arrival: Arrival) -> None:
        """Add at the end."""
        try:
            self._queue.put_nowait(arrival)
        except asyncio.QueueFull:
            self.dropped += 1

    async def get(self, seconds: float | None) -> Arrival | None:
        """The next arrival; None after `seconds` without one. Say `done` after handling it."""
        try:
            async with asyncio.timeout(seconds):
                return await self._queue.get()
        except TimeoutError:
            return None

    def get_waiting(self) -> Arrival | None:
        """The next arrival if there is one already. Say `done` after handling it."""
        return None if self._queue.empty() else self._queue.get_nowait()

    def done(self) -> None:
        """One arrival was handled."""
        self._queue.task_done()

    async def settled(self) -> None:
        """Wait until everything that was put has been handled."""
        await self._queue.join()
