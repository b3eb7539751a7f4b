"""Work that lets requests have their turn: by time, since a count of things says little about how long they take."""

import asyncio
import time
from typing import Final

TURN: Final = 0.002
"""Seconds of work between two turns of everybody else's; a pause of 10 ms is one too many."""


class Turns:
    """Asked between two pieces of work, each of which should take microseconds."""

    __slots__ = ("_began",)

    def __init__(self) -> None:
        self._began = time.monotonic()

    def over(self) -> bool:
        """Whether others should get their turn now."""
        return time.monotonic() - self._began > TURN

    async def give(self) -> None:
        """Let them have it."""
        await asyncio.sleep(0)
        self._began = time.monotonic()
