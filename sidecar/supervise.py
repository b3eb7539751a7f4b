"""Background tasks that come back: a crash is logged, counted, and followed by a restart after a wait."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from sidecar.backoff import Backoff

_log = logging.getLogger(__name__)

_SETTLED_AFTER: Final = 60.0  # seconds; a task that ran so long did not crash at once, so the next wait is short again


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
