"""Background tasks that come back: a crash is logged, counted, and followed by a restart after a wait.

For writer and sidecar alike. They end together, and for certain.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from common.backoff import Backoff

_log = logging.getLogger(__name__)

_SETTLED_AFTER: Final = 60.0  # seconds; a task that ran so long did not crash at once, so the next wait is short again

SAY_AGAIN: Final = 0.1  # seconds


async def supervise(name: str, run: Callable[[], Awaitable[None]], crashed: Callable[[str], None], rng: Random) -> None:
    """Run `run` until it returns, again after each crash; `crashed` is told the task's name."""
    loop = asyncio.get_running_loop()
    backoff = Backoff(rng)
    while True:
        began = loop.time()
        try:
            await run()
        except Exception:  # a task's last resort: logged with its trace, counted, restarted
            _log.exception("background task crashed task=%s", name)
            crashed(name)
        else:
            return
        if loop.time() - began > _SETTLED_AFTER:
            backoff.reset()
        await asyncio.sleep(backoff.wait())


class Tasks:
    """Supervised tasks that end together."""

    def __init__(self, crashed: Callable[[str], None], rng: Random, say_again: float = SAY_AGAIN) -> None:
        """`say_again`: seconds that a task has for its last words before it is told once more to end."""
        self._crashed = crashed
        self._rng = rng
        self._say_again = say_again
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run `run` in the background from now on."""
        self._tasks.add(asyncio.create_task(supervise(name, run, self._crashed, self._rng), name=name))

    async def stop(self) -> None:
        """End them all, however often that must be said.

        Before Python 3.12 `asyncio.wait_for`, with which the Redis client sends, swallows a cancellation that comes
        just when it is done.
        """
        pending = self._tasks
        while pending:
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=self._say_again)
