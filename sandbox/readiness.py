"""Waiting for a started server until it really answers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from sandbox.processes import ChildProcess, ProcessError

POLL_S: Final = 0.01
PORT_TAKEN: Final = ("Address already in use", "could not bind", "Could not create server TCP listening socket")
PORT_ATTEMPTS: Final = 5


class StartError(ProcessError):
    """A server did not come up; the message ends with the tail of its log."""


class PortTakenError(StartError):
    """Another program listens on the port."""


async def until_ready(process: ChildProcess, probe: Callable[[], Awaitable[str | None]], timeout_s: float) -> None:
    """Wait until `probe` returns None; what it returns else is why the server is not ready yet.

    Raises:
        PortTakenError: it ended because its port is taken.
        StartError: it ended, or was not ready in time; it is stopped then.
    """
    reason: str | None = "not asked yet"
    try:
        async with asyncio.timeout(timeout_s):
            while process.running:
                reason = await probe()
                if reason is None:
                    return
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        await process.kill()
        raise StartError(_message(process, f"was not ready after {timeout_s:g} s ({reason})")) from None
    taken = any(sign in process.log_tail() for sign in PORT_TAKEN)
    kind = PortTakenError if taken else StartError
    raise kind(_message(process, f"ended with status {process.returncode} instead of starting"))


def _message(process: ChildProcess, what: str) -> str:
    tail = process.log_tail() or "(nothing)"
    return f"{process.config.name} {what}; the end of {process.config.log_path}:\n{tail}"
