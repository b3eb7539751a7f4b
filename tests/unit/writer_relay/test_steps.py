"""Where keys lie on several servers, what has to follow something waits for it."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as LostError

from common.redis_nodes import Command
from writer.cache.commands import RedisCommands
from writer.relay.project_relay import CacheFaultError


class _Servers:
    """Notes what is sent; the server of the key `dead` is lost."""

    def __init__(self, *, spread: bool) -> None:
        self.spread = spread
        self.sent: list[list[Command]] = []

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        self.sent.append(list(commands))
        if any(command[1] == "dead" for command in commands):
            raise LostError
        return [b"OK"] * len(commands)


def _commands(servers: _Servers) -> RedisCommands:
    return RedisCommands(SimpleNamespace(writing=servers, reading=servers))  # type: ignore[arg-type]


async def test_one_server_is_sent_all_steps_at_once() -> None:
    """Its connection keeps the order."""
    servers = _Servers(spread=False)
    assert await _commands(servers).write_steps([("SET", "a", 1)], [], [("PUBLISH", "c", 2)]) == [b"OK", b"OK"]
    assert servers.sent == [[("SET", "a", 1), ("PUBLISH", "c", 2)]]


async def test_a_step_that_failed_on_a_cluster_is_not_followed_by_the_next() -> None:
    """Nobody is told of a document that does not stand."""
    servers = _Servers(spread=True)
    with pytest.raises(CacheFaultError):
        await _commands(servers).write_steps([("SET", "dead", 1)], [("PUBLISH", "c", 2)])
    assert servers.sent == [[("SET", "dead", 1)]]
