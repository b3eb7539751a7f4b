"""Commands to Redis, sent together, with every reply looked at."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha1
from typing import Any, Final, TypeVar

from redis.exceptions import NoScriptError, RedisError

from common.redis_faults import explained
from common.redis_nodes import Command
from writer.cache import scripts as cache_scripts
from writer.cache.link import RedisLink
from writer.relay.project_relay import CacheFaultError

T = TypeVar("T")

ALREADY_THERE: Final = "equal or smaller"
"""A change log's answer to an id that is not newer than its last."""
WRONG_TYPE: Final = "WRONGTYPE"

_SHAS: Final = {script: sha1(script.encode(), usedforsecurity=False).hexdigest() for script in cache_scripts.ALL}


def script(text: str, key: str, *arguments: Any) -> Command:
    """The command that runs a script on its one key."""
    return ("EVALSHA", _SHAS[text], 1, key, *arguments)


class RedisCommands:
    """Sends commands over a link. Every method raises CacheFaultError."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._turn = asyncio.Lock()
        """Whose it is may use the one connection that writes."""

    async def write(self, commands: Sequence[Command], is_timely: Callable[[], bool] | None = None) -> list[Any]:
        """Replies in order. Refusals that callers know stand among them as exceptions; any other is a fault.

        `is_timely` is asked once the connection is free: False is a fault, and nothing is sent.
        """
        replies = await self._write(commands, is_timely)
        if any(isinstance(reply, NoScriptError) for reply in replies):
            await _sent(self._link.writing.send_everywhere([("SCRIPT", "LOAD", text) for text in _SHAS]))
            replies = await self._write(commands)  # each command may be repeated without effect
        return _judged(replies)

    async def write_steps(self, *steps: Sequence[Command]) -> list[Any]:
        """Replies of all steps, as `write` gives them. No step is seen by anybody before the one ahead of it.

        One connection sees to that by itself. In a cluster each step is waited for, and a fault ends the row.
        """
        if not self._link.writing.spread:
            return await self.write([command for step in steps for command in step])
        return [reply for step in steps for reply in await self.write(step)]

    async def read(self, commands: Sequence[Command]) -> list[Any]:
        """Replies in order, as `write` gives them."""
        return _judged(await _sent(self._link.reading.send(commands)))

    async def _write(self, commands: Sequence[Command], is_timely: Callable[[], bool] | None = None) -> list[Any]:
        # Whoever gives up waiting must not let the next one go while the connection is still in use.
        task = asyncio.ensure_future(self._in_turn(commands, is_timely))
        task.add_done_callback(_retrieve)
        return await asyncio.shield(task)

    async def _in_turn(self, commands: Sequence[Command], is_timely: Callable[[], bool] | None) -> list[Any]:
        async with self._turn:
            if is_timely is not None and not is_timely():
                raise CacheFaultError("the connection was busy for too long")
            return await _sent(self._link.writing.send(commands))


def _retrieve(task: "asyncio.Future[list[Any]]") -> None:
    if not task.cancelled():
        task.exception()


async def _sent(sending: Awaitable[T]) -> T:
    try:
        return await sending
    except (RedisError, OSError) as error:
        raise CacheFaultError(explained(error)) from error


def _judged(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, Exception) and ALREADY_THERE not in str(reply) and WRONG_TYPE not in str(reply):
            raise CacheFaultError(f"Redis refused a command: {explained(reply)}")
    return replies
