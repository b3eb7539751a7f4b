"""A command that also speaks to Redis."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from writer import settings
from writer.cache.commands import RedisCommands
from writer.cache.link import RedisLink, UrlConnector
from writer.cli.session import told
from writer.operations.operating import Ground
from writer.relay.presence import Presences


@asynccontextmanager
async def redis_commands() -> AsyncIterator[RedisCommands]:
    """Commands to Redis by REDIS_URL, which must be set."""
    link = RedisLink(UrlConnector(told(settings.read_redis)))
    try:
        yield RedisCommands(link)
    finally:
        await link.close()


@asynccontextmanager
async def presences(ground: Ground) -> AsyncIterator[Presences]:
    """Who follows a project, by REDIS_URL, which must be set."""
    async with redis_commands() as commands:
        yield Presences(commands, ground.clock)


@asynccontextmanager
async def presences_if_any(ground: Ground) -> AsyncIterator[Presences | None]:
    """The same; None where REDIS_URL is not set."""
    if not os.environ.get("REDIS_URL"):
        yield None
        return
    async with presences(ground) as found:
        yield found
