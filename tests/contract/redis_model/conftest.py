"""The two subjects of the contract: the model that simulations run on, and a real server."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tests.simulation.redis_model import RedisModel

PATIENCE = 5.0


class Caller(Protocol):
    """One connection."""

    async def run(self, *command: Any) -> Any:
        """The reply; a refusal is returned."""
        ...

    async def heard(self) -> Any:
        """What was sent next without having been asked for, as channel and content."""
        ...


class Subject(Protocol):
    """A Redis, real or not."""

    async def caller(self) -> Caller:
        """A new connection."""
        ...

    async def pass_time(self, seconds: float) -> None:
        """Let time go by."""
        ...

    async def lose(self, key: str) -> None:
        """Delete a key as an operator does."""
        ...

    async def flush(self) -> None:
        """FLUSHALL."""
        ...

    async def refuse_growth(self) -> None:
        """Be out of memory."""
        ...

    async def become_read_only(self) -> None:
        """Be a replica."""
        ...

    async def trim(self, key: str, keep: int) -> None:
        """XTRIM as an operator does."""
        ...


class _ModelCaller:
    def __init__(self, model: RedisModel) -> None:
        self._model = model
        self._pushed: list[list[Any]] = []
        self._client = model.connect(self._pushed.append)

    async def run(self, *command: Any) -> Any:
        return self._model.execute(self._client, command)

    async def heard(self) -> Any:
        return tuple(self._pushed.pop(0)[1:])


class ModelSubject:
    """The model, on a clock of its own."""

    def __init__(self) -> None:
        self._seconds = 1000.0
        self._model = RedisModel(lambda: self._seconds)

    async def caller(self) -> Caller:
        """A new connection."""
        return _ModelCaller(self._model)

    async def pass_time(self, seconds: float) -> None:
        """Let time go by."""
        self._seconds += seconds

    async def lose(self, key: str) -> None:
        """Delete a key as an operator does."""
        self._model.lose(key)

    async def flush(self) -> None:
        """FLUSHALL."""
        self._model.flush()

    async def refuse_growth(self) -> None:
        """Be out of memory."""
        self._model.refuses_growth = True

    async def become_read_only(self) -> None:
        """Be a replica."""
        self._model.read_only = True

    async def trim(self, key: str, keep: int) -> None:
        """XTRIM as an operator does."""
        self._model.trim(key, keep)


class _RealCaller:
    def __init__(self, client: Redis) -> None:
        self._client: Any = client
        self._pubsub: Any = client.pubsub()

    async def run(self, *command: Any) -> Any:
        if command[0] == "SUBSCRIBE":
            await self._pubsub.subscribe(command[1])
            message = await self._pubsub.get_message(timeout=PATIENCE)
            return [message["type"].encode(), message["channel"], message["data"]]
        if command[:2] == ("CLIENT", "ID") and self._pubsub.connection is None:
            await self._pubsub.connect()
        try:
            if command[:2] == ("CLIENT", "ID"):
                await self._pubsub.connection.send_command(*command)
                return await self._pubsub.connection.read_response()
            return await self._client.execute_command(*command)
        except RedisError as refusal:
            return refusal

    async def heard(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            while (message := await self._pubsub.get_message(timeout=PATIENCE)) is None:
                pass
        return message["channel"], message["data"]


class RealSubject:
    """A real server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._clients: list[Redis] = []
        self._operator: Any = self._client()

    def _client(self) -> Redis:
        client = Redis.from_url(self._url, protocol=2, single_connection_client=True, retry=Retry(NoBackoff(), 0))
        self._clients.append(client)
        return client

    async def caller(self) -> Caller:
        """A new connection."""
        return _RealCaller(self._client())

    async def pass_time(self, seconds: float) -> None:
        """Let time go by."""
        await asyncio.sleep(seconds)

    async def lose(self, key: str) -> None:
        """Delete a key as an operator does."""
        await self._operator.delete(key)

    async def flush(self) -> None:
        """FLUSHALL."""
        await self._operator.flushall()

    async def refuse_growth(self) -> None:
        """Be out of memory."""
        await self._operator.config_set("maxmemory", 1)

    async def become_read_only(self) -> None:
        """Be a replica, of a server that is not there."""
        await self._operator.execute_command("REPLICAOF", "127.0.0.1", "1")

    async def trim(self, key: str, keep: int) -> None:
        """XTRIM as an operator does."""
        await self._operator.xtrim(key, maxlen=keep, approximate=False)

    async def close(self) -> None:
        """Leave the server as it was."""
        await self._operator.config_set("maxmemory", 0)
        await self._operator.execute_command("REPLICAOF", "NO", "ONE")
        for client in self._clients:
            await client.aclose()


@pytest_asyncio.fixture(params=["model", "server"])
async def subject(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Subject]:
    """Each case runs on both. The server is started for either: it cannot be from within a loop that runs."""
    if request.param == "model":
        yield ModelSubject()
        return
    real = RealSubject(redis_url)
    yield real
    await real.close()


@pytest_asyncio.fixture
async def both(redis_url: str) -> AsyncIterator[Sequence[Subject]]:
    """Both at once, to be compared."""
    real = RealSubject(redis_url)
    yield [ModelSubject(), real]
    await real.close()
