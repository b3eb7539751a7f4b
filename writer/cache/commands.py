"""Commands to Redis, sent together, with every reply looked at."""

from collections.abc import Awaitable, Sequence
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

    async def write(self, commands: Sequence[Command]) -> list[Any]:
        """Replies in order. Refusals that callers know stand among them as exceptions; any other is a fault."""
        replies = await _sent(self._link.writing.send(commands))
        if any(isinstance(reply, NoScriptError) for reply in replies):
            await _sent(self._link.writing.send_everywhere([("SCRIPT", "LOAD", text) for text in _SHAS]))
            replies = await _sent(self._link.writing.send(commands))  # each may be repeated without effect
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
