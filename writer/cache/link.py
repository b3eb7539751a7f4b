"""How the writer reaches Redis: one connection that writes, in order, and a few that read.

All writes pass over one connection: what is published of a project stays in order, and Redis can leave our own
plain writes out when it reports changed keys (client-side caching, NOLOOP); what our scripts write is reported.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from common import keys
from common.settings import Secret
from writer.cache import scripts as cache_scripts

_log = logging.getLogger(__name__)

REPLY_SECONDS: Final = 2.0
_WAIT_SECONDS: Final = 10.0
_READERS: Final = 2
_PREFIXES: Final = ("PREFIX", keys.DOCUMENT_PREFIX, "PREFIX", keys.PROJECT_PREFIX)


OnConnect = Callable[[AbstractConnection], Awaitable[None]]
"""What is said on a connection first."""


class RedisConnector(Protocol):
    """How one Redis is reached."""

    def client(self, connections: int, on_connect: OnConnect | None = None) -> Redis:
        """A client of at most so many connections, none of which is opened before it is used."""
        ...

    def listener(self) -> BlockingConnectionPool:
        """For one connection that waits for messages without an end."""
        ...


class UrlConnector:
    """Reaches the Redis of a URL."""

    def __init__(self, url: Secret) -> None:
        self._url = url

    def client(self, connections: int, on_connect: OnConnect | None = None) -> Redis:
        """A client that never repeats a command by itself."""
        options = {} if on_connect is None else {"redis_connect_func": on_connect}
        return Redis(connection_pool=_pool(self._url.reveal(), connections, **options))

    def listener(self) -> BlockingConnectionPool:
        """In the older protocol, whose messages are plain."""
        return _pool(self._url.reveal(), 1, socket_timeout=None)


class RedisLink:
    """Connections to one Redis; none is opened before it is used. A failed command is never repeated by itself."""

    def __init__(self, connector: RedisConnector) -> None:
        self.writing = connector.client(1, self._on_connect)
        self.reading = connector.client(_READERS)
        self._listener: int | None = None

    async def report_changes_to(self, client_id: int | None) -> None:
        """Have Redis tell the client `client_id` of every change to our keys that is not made over `writing`."""
        self._listener = client_id
        pipeline = self.writing.pipeline(transaction=False)
        pipeline.execute_command("CLIENT", "TRACKING", "OFF")
        if client_id is not None:
            pipeline.execute_command(*self._tracking(client_id))
        await pipeline.execute()

    async def close(self) -> None:
        """Close every connection."""
        for client in (self.writing, self.reading):
            await client.aclose()
            await client.connection_pool.aclose()

    async def _on_connect(self, connection: AbstractConnection) -> None:
        await connection.on_connect()
        # Loaded ahead, so that a batch is not refused in its middle and sent again.
        for script in cache_scripts.ALL:
            await connection.send_command("SCRIPT", "LOAD", script)
            await connection.read_response()
        if self._listener is None:
            return
        await connection.send_command(*self._tracking(self._listener))
        try:
            await connection.read_response()
        except ResponseError:
            # The listener is gone too; once it is back it asks for reports again.
            _log.debug("the listener for changed keys is gone")

    def _tracking(self, client_id: int) -> tuple[Any, ...]:
        return ("CLIENT", "TRACKING", "ON", "REDIRECT", client_id, "BCAST", *_PREFIXES, "NOLOOP")


def general_pool(url: str) -> BlockingConnectionPool:
    """For what is of no consequence: its traffic is kept off the connection that publishes."""
    return _pool(url, 1)


def _pool(url: str, size: int, **options: Any) -> BlockingConnectionPool:
    settings: dict[str, Any] = {
        "protocol": 2,
        "socket_timeout": REPLY_SECONDS,
        "socket_connect_timeout": REPLY_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "client_name": "billing-writer",
        "max_connections": size,
        "timeout": _WAIT_SECONDS,
        **options,
    }
    return BlockingConnectionPool.from_url(url, **settings)
