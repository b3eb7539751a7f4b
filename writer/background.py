"""The writer's background work: started together, supervised, and ended for certain."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from writer.supervision import supervise

_log = logging.getLogger(__name__)

_PATIENCE: Final = 2.0
_ROUNDS: Final = 5


class Background:
    """Tasks that run until the writer ends."""

    def __init__(self, crashed: Callable[[str], None]) -> None:
        self._crashed = crashed
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` now; after a crash again."""
        self._tasks.append(asyncio.create_task(supervise(name, work, self._crashed), name=name))

    async def end(self) -> None:
        """Cancel what runs, the newest first, and wait for its end.

        A cancellation can be lost where a library waits with `wait_for` on Python 3.11, so it is said again.
        """
        for task in reversed(self._tasks):
            for _ in range(_ROUNDS):
                task.cancel()
                await asyncio.wait([task], timeout=_PATIENCE)
                if task.done():
                    break
            else:
                _log.error("background work does not end name=%s", task.get_name())
