"""A stand-in for redis-py, as far as the product uses it, over the simulated network.

A connection breaks off where redis-py's would: by a timeout, a lost connection, or a cancellation between sending and
reading. Commands that are sent together may still arrive in two parts.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final, Self

from redis.exceptions import ConnectionError as RedisConnectionError

from common.redis_nodes import Nodes, OneServer
from common.redis_url import NodeAddress
from tests.simulation.network import Network
from tests.simulation.redis_connection import Command, StandInConnection
from tests.simulation.redis_server import RedisServer
from writer.cache.link import Begin

_POOL_SECONDS: Final = 10.0
_IN_PARTS: Final = 0.3

OnConnect = Callable[[Any], Awaitable[None]]


class StandInClient:
    """redis-py's client with a pool of some connections."""

    def __init__(
        self,
        network: Network,
        server: RedisServer,
        rng: Random,
        connections: int,
        patience: float,
        on_connect: OnConnect | None = None,
    ) -> None:
        self._network = network
        self._server = server
        self._rng = rng
        self._patience = patience
        self._on_connect = on_connect
        self._idle: list[StandInConnection] = []
        self._slots = asyncio.Semaphore(connections)

    @property
    def connection_pool(self) -> Self:
        """It is its own."""
        return self

    async def aclose(self, *, close_connection_pool: bool = True) -> None:
        """Close every connection."""
        for connection in self._idle:
            connection.disconnect()
        self._idle.clear()

    async def disconnect(self, *, inuse_connections: bool) -> None:
        """Close the idle ones, as a pool does."""
        await self.aclose()

    def pipeline(self, *, transaction: bool) -> "StandInPipeline":
        """Commands to be sent together."""
        return StandInPipeline(self)

    def pubsub(self) -> "StandInPubSub":
        """A connection that listens."""
        return StandInPubSub(StandInConnection(self._network, self._server, None))

    async def hgetall(self, key: str) -> Any:
        """HGETALL."""
        return await self._one("HGETALL", key)

    async def get(self, key: str) -> Any:
        """GET."""
        return await self._one("GET", key)

    async def sscan(self, key: str, cursor: int, count: int) -> Any:
        """SSCAN."""
        return await self._one("SSCAN", key, cursor, "COUNT", count)

    async def xrange(self, key: str, *, min: str, count: int) -> Any:  # noqa: A002 - redis-py's name
        """XRANGE."""
        return await self._one("XRANGE", key, min, "+", "COUNT", count)

    async def _one(self, *command: Any) -> Any:
        (reply,) = await self.run([command])
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def run(self, commands: list[Command]) -> list[Any]:
        """Replies in order; refusals stand among them."""
        if not commands:
            return []
        await asyncio.sleep(0)  # whoever is stopped here has looked already, and sends when it wakes
        async with self._connected() as connection:
            try:
                at = self._rng.randrange(len(commands)) if self._rng.random() < _IN_PARTS else 0
                for part in (commands[:at], commands[at:]):
                    if part:
                        connection.send(part)
                return [await connection.read() for _ in commands]
            except BaseException:
                connection.disconnect()
                raise

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[StandInConnection]:
        try:
            async with asyncio.timeout(_POOL_SECONDS):
                await self._slots.acquire()
        except TimeoutError as error:
            raise RedisConnectionError("No connection available.") from error
        try:
            connection = self._idle.pop() if self._idle else await self._open()
            yield connection
            if connection.is_open:
                self._idle.append(connection)
        finally:
            self._slots.release()

    async def _open(self) -> StandInConnection:
        connection = StandInConnection(self._network, self._server, self._patience)
        await connection.connect()
        if self._on_connect is not None:
            try:
                await self._on_connect(connection)
            except BaseException:
                connection.disconnect()
                raise
        return connection


class StandInPipeline:
    """redis-py's pipeline."""

    def __init__(self, client: StandInClient) -> None:
        self._client = client
        self._commands: list[Command] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def execute_command(self, *words: Any) -> None:
        """Add any."""
        self._commands.append(words)

    def get(self, key: str) -> None:
        """Add GET."""
        self._commands.append(("GET", key))

    def set(self, key: str, value: bytes, *, ex: int) -> None:
        """Add SET."""
        self._commands.append(("SET", key, value, "EX", ex))

    def zadd(self, key: str, scores: dict[str, float]) -> None:
        """Add ZADD."""
        for member, score in scores.items():
            self._commands.append(("ZADD", key, score, member))

    async def execute(self, *, raise_on_error: bool = True) -> list[Any]:
        """Send them; the first refusal is raised, or stands among the replies."""
        replies = await self._client.run(self._commands)
        for reply in replies:
            if raise_on_error and isinstance(reply, Exception):
                raise reply
        return replies


class StandInPubSub:
    """redis-py's subscription."""

    def __init__(self, connection: StandInConnection) -> None:
        self._connection = connection

    async def subscribe(self, channel: str) -> None:
        """Ask for a channel's messages."""
        await self._connection.connect()
        await self._connection.send_command("SUBSCRIBE", channel)

    async def ping(self) -> None:
        """Ask whether it lives."""
        await self._connection.send_command("PING")

    async def get_message(self, *, timeout: float) -> dict[str, Any] | None:  # noqa: ASYNC109 - redis-py's name
        """The next message; None where none came in time."""
        reply = await self._connection.read_within(timeout)
        return None if reply is None else {"type": reply[0].decode(), "channel": reply[1], "data": reply[-1]}

    async def aclose(self) -> None:
        """Give it up."""
        self._connection.disconnect()


class StandInListener:
    """redis-py's pool, for one connection that waits without an end."""

    def __init__(self, network: Network, server: RedisServer) -> None:
        self._connection = StandInConnection(network, server, None)

    async def get_connection(self) -> StandInConnection:
        """The connection."""
        await self._connection.connect()
        return self._connection

    async def disconnect(self) -> None:
        """Give it up."""
        self._connection.disconnect()


class Connector:
    """How a writer reaches Redis: `writer.cache.link.RedisConnector`."""

    def __init__(self, network: Network, server: RedisServer, rng: Random, patience: float) -> None:
        self._network = network
        self._server = server
        self._rng = rng
        self._patience = patience

    def nodes(self, connections: int, begin: Begin | None = None) -> Nodes:
        """The one server."""
        said = None if begin is None else begin(None)
        client: Any = StandInClient(self._network, self._server, self._rng, connections, self._patience, said)
        return OneServer(client, moves=False)

    def listening_pool(self, address: NodeAddress | None) -> Any:
        """For one connection that waits for messages without an end."""
        return StandInListener(self._network, self._server)
