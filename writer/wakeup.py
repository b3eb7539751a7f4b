"""An in-process nudge: what a poll would find a moment later is looked at at once."""

import asyncio


class Wakeup:
    """Many may notify, one waits. A notice given while nobody waits is not lost."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """There is something to do."""
        self._event.set()

    async def wait(self, at_most: float) -> None:
        """Return at a notice, or after `at_most` seconds: the poll for what other processes committed."""
        try:
            async with asyncio.timeout(at_most):
                await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()
