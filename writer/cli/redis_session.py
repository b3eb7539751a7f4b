"""A command that also asks Redis where sidecars are."""

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
async def presences(ground: Ground) -> AsyncIterator[Presences]:
    """Who follows a project, by REDIS_URL, which must be set."""
    link = RedisLink(UrlConnector(told(settings.read_redis)))
    try:
        yield Presences(RedisCommands(link), ground.clock)
    finally:
        await link.close()


@asynccontextmanager
async def presences_if_any(ground: Ground) -> AsyncIterator[Presences | None]:
    """The same; None where REDIS_URL is not set."""
    if not os.environ.get("REDIS_URL"):
        yield None
        return
    async with presences(ground) as found:
        yield found
