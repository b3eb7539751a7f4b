"""Waiting on conditions instead of sleeping."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

POLL_S = 0.01


async def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait until the condition holds.

    Raises:
        TimeoutError: it did not in time.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - conditions of other processes have no event to wait on
            await asyncio.sleep(POLL_S)


async def eventually(condition: Callable[[], Awaitable[bool]], timeout_s: float = 20.0) -> None:
    """Wait until the condition, which itself has to ask somebody, holds.

    Raises:
        TimeoutError: it did not in time.
    """
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110 - what others hold has no event to wait on
            await asyncio.sleep(POLL_S)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits for its parent's notice does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
