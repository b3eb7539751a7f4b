"""How the writer reaches Redis: one connection to each server that writes, in order, and a few that read.

All writes to a server pass over one connection: what is published of a project stays in order, and Redis can leave our
own plain writes out when it reports changed keys (client-side caching, NOLOOP); what our scripts write is reported.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from common import keys
from common.redis_nodes import Nodes, nodes_of
from common.redis_pool import OnConnect, open_pool
from common.redis_url import NodeAddress, RedisUrl, parse
from common.settings import Secret
from writer.cache import scripts as cache_scripts

_log = logging.getLogger(__name__)

REPLY_SECONDS: Final = 2.0
_WAIT_SECONDS: Final = 10.0
_READERS: Final = 2
_PREFIXES: Final = ("PREFIX", keys.DOCUMENT_PREFIX, "PREFIX", keys.PROJECT_PREFIX)


Begin = Callable[[NodeAddress | None], OnConnect]
"""What is said first on each connection to a server."""


class RedisConnector(Protocol):
    """How Redis is reached; nothing is connected before it is used, and no command is repeated by itself."""

    def nodes(self, connections: int, begin: Begin | None = None) -> Nodes:
        """At most so many connections to each server."""
        ...

    def listening_pool(self, address: NodeAddress | None) -> ConnectionPool:
        """For one connection to a server that waits for messages without an end."""
        ...


class UrlConnector:
    """Reaches what a Redis URL names."""

    def __init__(self, url: Secret) -> None:
        self._url = parse(url.reveal())

    def nodes(self, connections: int, begin: Begin | None = None) -> Nodes:
        """One server, the primary that sentinels name, or a cluster's primaries."""

        def client(address: NodeAddress | None) -> Redis:
            said = None if begin is None else begin(address)
            return Redis(connection_pool=_pool(self._url, address, connections, said))

        return nodes_of(self._url, client)

    def listening_pool(self, address: NodeAddress | None) -> ConnectionPool:
        """In the older protocol, whose messages are plain."""
        return _pool(self._url, address, 1, socket_timeout=None)


class RedisLink:
    """Connections to what a Redis URL names; none is opened before it is used."""

    def __init__(self, connector: RedisConnector) -> None:
        self._connector = connector
        self._listeners: dict[NodeAddress | None, int] = {}
        self.writing = connector.nodes(1, self._begin)
        self.reading = connector.nodes(_READERS)

    async def addresses(self) -> Sequence[NodeAddress | None]:
        """The servers that hold keys, each of which has to be listened to."""
        return await self.reading.addresses()

    def listening_pool(self, address: NodeAddress | None) -> ConnectionPool:
        """For one connection that waits for messages without an end."""
        return self._connector.listening_pool(address)

    async def report_changes_to(self, address: NodeAddress | None, client_id: int) -> None:
        """Have a server tell its client `client_id` of every change to our keys that is not made over `writing`."""
        self._listeners[address] = client_id
        pipeline = self.writing.client(address).pipeline(transaction=False)
        pipeline.execute_command("CLIENT", "TRACKING", "OFF")
        pipeline.execute_command(*_tracking(client_id))
        await pipeline.execute()

    def report_no_more(self, address: NodeAddress | None) -> None:
        """The client that was told of changes is gone; its number may be another one's once Redis was restarted."""
        self._listeners.pop(address, None)

    async def close(self) -> None:
        """Close every connection."""
        await self.writing.aclose()
        await self.reading.aclose()

    def _begin(self, address: NodeAddress | None) -> OnConnect:
        async def begin(connection: AbstractConnection) -> None:
            # Loaded ahead, so that a batch is not refused in its middle and sent again.
            for script in cache_scripts.ALL:
                await connection.send_command("SCRIPT", "LOAD", script)
                await connection.read_response()
            if address not in self._listeners:
                return
            await connection.send_command(*_tracking(self._listeners[address]))
            try:
                await connection.read_response()
            except ResponseError:
                # The listener is gone too; once it is back it asks for reports again.
                _log.debug("the listener for changed keys is gone")

        return begin


def _tracking(client_id: int) -> tuple[Any, ...]:
    return ("CLIENT", "TRACKING", "ON", "REDIRECT", client_id, "BCAST", *_PREFIXES, "NOLOOP")


def _pool(
    url: RedisUrl, address: NodeAddress | None, size: int, on_connect: OnConnect | None = None, **options: Any
) -> ConnectionPool:
    settings: dict[str, Any] = {
        "socket_timeout": REPLY_SECONDS,
        "socket_connect_timeout": REPLY_SECONDS,
        "client_name": "billing-writer",
        "max_connections": size,
        "timeout": _WAIT_SECONDS,
        **options,
    }
    return open_pool(url, address, BlockingConnectionPool, primary=True, on_connect=on_connect, **settings)
