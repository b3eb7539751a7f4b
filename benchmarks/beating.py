"""Heartbeats of a population's writer, so that copies of it stay fresh while they are measured."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from redis.asyncio import Redis

from benchmarks.population import PROJECT, Population
from common import keys, wire

_EVERY: Final = 1.0


@contextlib.asynccontextmanager
async def beating(population: Population, redis_url: str) -> AsyncIterator[None]:
    """One each second while the block runs."""
    client: Any = Redis.from_url(redis_url)
    task = asyncio.create_task(_beat(population, client), name="heartbeats")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await client.aclose()


async def _beat(population: Population, client: Any) -> None:
    while True:
        await client.publish(keys.channel(PROJECT), wire.encode(population.heartbeat()))
        await asyncio.sleep(_EVERY)
