"""A project in Postgres, an empty Redis, and relay stations that end with the test."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest_asyncio
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.ledger import Ledger, open_engine
from tests.support.relaying import Relaying, StartRelay


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """The writer's engine."""
    opened = open_engine(database_url)
    yield opened
    await opened.dispose()


@pytest_asyncio.fixture
async def ledger(engine: AsyncEngine) -> Ledger:
    """A project named shop."""
    return await Ledger.open(engine)


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """Somebody else's connection to Redis."""
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest_asyncio.fixture
async def start_relay(engine: AsyncEngine, redis_url: str) -> AsyncIterator[StartRelay]:
    """What starts a writer's relay; it ends with the test."""
    async with AsyncExitStack() as stack:

        async def start(instance: str = "writer", **options: object) -> Relaying:
            database, url = options.pop("engine", engine), options.pop("url", redis_url)
            relaying = Relaying(database, url, instance, **options)  # type: ignore[arg-type]
            await stack.enter_async_context(relaying)
            return relaying

        yield start
