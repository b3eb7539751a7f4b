"""A real Redis-protocol server per worker, emptied for each test."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from redis import Redis

from sandbox.redis import RedisConfig, RedisServer

StartRedis = Callable[..., Awaitable[RedisServer]]

_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisServer]:
    """This worker's server. Do not stop it or change its settings: ask for `redis_server` instead."""
    log_path = tmp_path_factory.mktemp("redis") / "redis.log"
    async with RedisServer(RedisConfig(log_path=log_path)) as server:
        yield server


@pytest.fixture
def redis_url(shared_redis: RedisServer) -> str:
    """`redis://…` of an empty server, nobody else's during the test."""
    with Redis.from_url(shared_redis.url) as client:
        client.flushall()
    return shared_redis.url


@pytest_asyncio.fixture
async def redis_server(tmp_path: Path) -> AsyncIterator[StartRedis]:
    """Start servers that the test may kill and restart.

    `server = await redis_server(settings={"maxmemory": "1mb"})` takes the fields of `RedisConfig`.
    """
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> RedisServer:
            log_path = tmp_path / f"redis-{next(_numbers)}.log"
            config = RedisConfig(**{"log_path": log_path, **settings})  # type: ignore[arg-type]
            return await stack.enter_async_context(RedisServer(config))

        yield start
