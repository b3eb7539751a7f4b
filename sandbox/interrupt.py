"""Ending in order on Ctrl-C, SIGTERM or a closed terminal: what was started is stopped before the program ends."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG: Final = 1


class Interrupted(Exception):  # noqa: N818 - it is no error
    """A signal asked the program to end; `number` is the signal."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


def run(main: Coroutine[Any, Any, int]) -> int:
    """The exit status of `main`; Interrupted when a signal ended it, after it has cleaned up.

    A second signal does not cut the cleaning short: it is bounded, and the kernel ends what would be left.
    """
    _die_with_make()
    return asyncio.run(_interruptible(main))


async def _interruptible(main: Coroutine[Any, Any, int]) -> int:
    task = asyncio.ensure_future(main)
    received: list[signal.Signals] = []

    def interrupt(number: signal.Signals) -> None:
        if not received:
            received.append(number)
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, interrupt, number)
    try:
        return await task
    except asyncio.CancelledError:
        if received:
            raise Interrupted(received[0]) from None
        raise


def _die_with_make() -> None:
    # make hands signals on, but cannot when it is itself killed; then nobody would be left to press Ctrl-C.
    if "MAKELEVEL" in os.environ and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
