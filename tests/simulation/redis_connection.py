"""One connection of the stand-in for redis-py: it breaks off where redis-py's would."""

import asyncio
from typing import Any, Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tests.simulation.network import Connection, Network
from tests.simulation.redis_server import RedisServer

CONNECT_SECONDS: Final = 2.0

Command = tuple[Any, ...]


class StandInConnection:
    """redis-py's connection. `patience`: seconds for each reply; None for ever."""

    def __init__(self, network: Network, server: RedisServer, patience: float | None) -> None:
        self._network = network
        self._server = server
        self._patience = patience
        self._connection: Connection | None = None

    async def connect(self) -> None:
        """Open it."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                self._connection = await self._network.connect(self._server)
        except TimeoutError as error:
            raise RedisTimeoutError("Timeout connecting to server") from error
        except OSError as error:
            raise RedisConnectionError(str(error)) from error

    async def on_connect(self) -> None:
        """There is no greeting."""

    async def send_command(self, *words: Any) -> None:
        """Send one."""
        self.send([words])

    def send(self, commands: list[Command]) -> None:
        """Send some together."""
        try:
            self._opened().send(commands)
        except OSError as error:
            raise RedisConnectionError(str(error)) from error

    async def read_response(self) -> Any:
        """The next reply or message; a refusal is raised."""
        reply = await self.read()
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    async def read(self) -> Any:
        """The same; a refusal is returned."""
        try:
            async with asyncio.timeout(self._patience):
                message = await self._opened().receive()
        except TimeoutError as error:
            self.disconnect()
            raise RedisTimeoutError("Timeout reading from socket") from error
        except OSError as error:
            self.disconnect()
            raise RedisConnectionError("Connection closed by server.") from error
        except asyncio.CancelledError:
            self.disconnect()
            raise
        return message[0] if isinstance(message, tuple) else message

    async def read_within(self, seconds: float) -> Any:
        """The next message; None where none came in time, and then the connection stays."""
        try:
            async with asyncio.timeout(seconds):
                message = await self._opened().receive()
        except TimeoutError:
            return None
        except OSError as error:
            self.disconnect()
            raise RedisConnectionError("Connection closed by server.") from error
        return message[0] if isinstance(message, tuple) else message

    @property
    def is_open(self) -> bool:
        """Whether it was not given up."""
        return self._connection is not None

    def disconnect(self) -> None:
        """Give it up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> Connection:
        if self._connection is None:
            raise ConnectionResetError("the connection was given up")
        return self._connection
