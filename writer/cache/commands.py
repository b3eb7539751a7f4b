"""Commands to Redis, sent together, with every reply looked at."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha1
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from writer.cache import scripts as cache_scripts
from writer.cache.link import RedisLink
from writer.relay.project_relay import CacheFaultError

Command = tuple[Any, ...]

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
            await self._write([("SCRIPT", "LOAD", text) for text in _SHAS])
            replies = await self._write(commands)  # each command may be repeated without effect
        return _judged(replies)

    async def read(self, commands: Sequence[Command]) -> list[Any]:
        """Replies in order, as `write` gives them."""
        return _judged(await _uninterrupted(_send(self._link.reading, commands)))

    async def _write(self, commands: Sequence[Command], is_timely: Callable[[], bool] | None = None) -> list[Any]:
        return await _uninterrupted(self._in_turn(commands, is_timely))

    async def _in_turn(self, commands: Sequence[Command], is_timely: Callable[[], bool] | None) -> list[Any]:
        async with self._turn:
            if is_timely is not None and not is_timely():
                raise CacheFaultError("the connection was busy for too long")
            return await _send(self._link.writing, commands)


async def _send(client: Redis, commands: Sequence[Command]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    try:
        return await pipeline.execute(raise_on_error=False)
    except (RedisError, OSError) as error:
        raise CacheFaultError(f"{type(error).__name__}: {error}") from error


async def _uninterrupted(sending: Awaitable[list[Any]]) -> list[Any]:
    # Cancelled between sending and reading, a connection would give its replies to the next command.
    task = asyncio.ensure_future(sending)
    task.add_done_callback(_retrieve)
    return await asyncio.shield(task)


def _retrieve(task: "asyncio.Future[list[Any]]") -> None:
    if not task.cancelled():
        task.exception()


def _judged(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, Exception) and ALREADY_THERE not in str(reply) and WRONG_TYPE not in str(reply):
            raise CacheFaultError(f"Redis refused a command: {reply}")
    return replies
