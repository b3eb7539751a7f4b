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
    asked = _Asked()
    asking = asyncio.create_task(_ask_until_ready(process, probe, asked))
    ending = asyncio.create_task(process.wait())
    try:
        # Both are watched: a stranger on the port may let the probe hang while ours has long ended.
        await asyncio.wait((asking, ending), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asking.cancel()
        ending.cancel()
        await asyncio.gather(asking, ending, return_exceptions=True)
    if not process.running:
        taken = any(sign in process.log_tail() for sign in PORT_TAKEN)
        kind = PortTakenError if taken else StartError
        raise kind(_message(process, f"ended with status {process.returncode} instead of starting"))
    if asking.cancelled():
        await process.kill()
        raise StartError(_message(process, f"was not ready after {timeout_s:g} s ({asked.reason})"))
    asking.result()


class _Asked:
    reason: str | None = "not asked yet"


async def _ask_until_ready(process: ChildProcess, probe: Callable[[], Awaitable[str | None]], asked: _Asked) -> None:
    while process.running and (reason := await probe()) is not None:
        asked.reason = reason
        await asyncio.sleep(POLL_S)


def _message(process: ChildProcess, what: str) -> str:
    tail = process.log_tail() or "(nothing)"
    return f"{process.config.name} {what}; the end of {process.config.log_path}:\n{tail}"
