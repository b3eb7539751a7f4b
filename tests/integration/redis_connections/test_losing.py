"""A connection to Redis that is lost under uvloop, as writer and sidecar run, is a fault of Redis like any other."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from common.redis_pool import open_pool
from common.redis_url import parse


async def _reset(connection: AbstractConnection) -> None:
    """What a reset leaves: the transport is closed, and nobody has read yet that it is."""
    writer = connection._writer
    assert writer is not None
    writer.transport.abort()
    await asyncio.sleep(0.01)


async def _send(connection: AbstractConnection) -> None:
    await connection.send_command("PING")


async def _send_packed(connection: AbstractConnection) -> None:
    await connection.send_packed_command(connection.pack_commands([("PING",), ("PING",)]))


@pytest.mark.parametrize("send", [_send, _send_packed], ids=["a command", "a pipeline"])
def test_writing_to_a_reset_connection_is_a_fault_of_redis(
    redis_url: str, send: Callable[[AbstractConnection], Awaitable[None]]
) -> None:
    """Not a RuntimeError, which would crash the task that wrote instead of letting it try again."""

    async def lose() -> None:
        pool = open_pool(parse(redis_url))
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]  # so redis-py ships it
        try:
            await _reset(connection)
            with pytest.raises(RedisError):
                await send(connection)
        finally:
            await pool.release(connection)
            await pool.aclose()

    uvloop.run(lose())
