"""A sidecar in this process, its sources, and a client: what the sidecar's tests stand on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from redis.asyncio import Redis

from sidecar.app import Sidecar, running
from sidecar.project import Project
from sidecar.settings import Settings
from tests.support.history import PROJECT, History, grant
from tests.support.publisher import Publisher
from tests.support.writer_double import KEY, WriterDouble


@dataclass(slots=True)
class Running:
    """A sidecar and how to ask it."""

    sidecar: Sidecar
    session: ClientSession

    @property
    def project(self) -> Project:
        """The live state of the one project."""
        return self.sidecar.projects[PROJECT]

    @property
    def revision(self) -> int:
        """Where its copy stands; -1 before the first load."""
        position = self.project.position
        return -1 if position is None else position.revision

    async def get(self, path: str, **parameters: str) -> tuple[int, Any]:
        """Status and JSON of a GET."""
        url = f"http://{self.sidecar.address}/api/v1/{path}"
        async with self.session.get(url, params=parameters) as response:
            return response.status, await response.json(content_type=None)

    async def post(self, path: str, body: bytes | BinaryIO) -> tuple[int, Any]:
        """Status and JSON of a POST."""
        async with self.session.post(f"http://{self.sidecar.address}/api/v1/{path}", data=body) as response:
            return response.status, await response.json(content_type=None)

    async def manage(self, path: str) -> tuple[int, str]:
        """Status and text of the management port."""
        async with self.session.get(f"http://{self.sidecar.management_address}/{path}") as response:
            return response.status, await response.text()

    async def check(self, user: str, feature: str = "pro", **parameters: str) -> Any:
        """The answer to a check, which must be one."""
        status, answer = await self.get("check", user_id=user, feature=feature, **parameters)
        assert status == 200, answer
        return answer

    async def metric(self, name: str) -> float:
        """The sum of all samples of a metric."""
        _, text = await self.manage("metrics")
        lines = [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
        return sum(float(line.rpartition(" ")[2]) for line in lines)


StartSidecar = Callable[..., Awaitable[Running]]


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until the condition holds; the limit is only there to end a broken test."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a state that nobody signals
            await asyncio.sleep(0.005)


def settings_of(redis_url: str = "", writer_url: str = "", **more: str) -> Settings:
    """Of a sidecar on free ports; further settings by their names."""
    return Settings.from_mapping(
        {
            "SIDECAR_PROJECT": PROJECT,
            "SIDECAR_API_KEY": KEY,
            "REDIS_URL": redis_url,
            "WRITER_URL": writer_url,
            "SIDECAR_LISTEN": "127.0.0.1:0",
            "SIDECAR_MANAGEMENT_LISTEN": "127.0.0.1:0",
            "SIDECAR_INSTANCE": "sidecar-under-test",
            **more,
        }
    )


@pytest_asyncio.fixture
async def start_sidecar() -> AsyncIterator[StartSidecar]:
    """Start sidecars on free ports; further settings by their names.

    `running = await start_sidecar(redis_url=…, writer_url=…, SIDECAR_MAX_STALE="60s")`
    """
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(ClientSession())

        async def start(redis_url: str = "", writer_url: str = "", **more: str) -> Running:
            settings = settings_of(redis_url, writer_url, **more)
            return Running(await stack.enter_async_context(running(settings)), session)

        yield start


@pytest.fixture
def history() -> History:
    """A project with three users."""
    history = History()
    history.change("ann", grant())
    history.change("bob", grant("seats", 5))
    history.change("eve", grant(), grant("seats", 1))
    return history


@pytest_asyncio.fixture
async def writer(history: History) -> AsyncIterator[WriterDouble]:
    """A writer with that project."""
    async with WriterDouble(history).running() as double:
        yield double


@asynccontextmanager
async def publishing(url: str, history: History) -> AsyncIterator[Publisher]:
    """A relay that has written the history."""
    async with Redis.from_url(url) as client:
        publisher = Publisher(client, history)
        await publisher.relay()
        yield publisher


@pytest_asyncio.fixture
async def publisher(redis_url: str, history: History) -> AsyncIterator[Publisher]:
    """A relay of that project on the shared Redis."""
    async with publishing(redis_url, history) as relay:
        yield relay


@pytest_asyncio.fixture
async def heart(publisher: Publisher) -> AsyncIterator[None]:
    """Heartbeats on the shared Redis, quicker than a writer's so that tests need not wait."""

    async def beat() -> None:
        while True:
            await publisher.heartbeat()
            await asyncio.sleep(0.1)

    task = asyncio.create_task(beat())
    yield
    while not task.done():  # before Python 3.12 the Redis client may swallow a cancellation
        task.cancel()
        await asyncio.wait([task], timeout=0.1)
    await asyncio.gather(task, return_exceptions=True)


@pytest_asyncio.fixture(name="running")
async def running_sidecar(
    redis_url: str, publisher: Publisher, writer: WriterDouble, start_sidecar: StartSidecar
) -> Running:
    """A sidecar in step by Redis."""
    running = await start_sidecar(redis_url, writer.url)
    await until(lambda: running.project.replica.synced)
    return running


async def in_step(running: Running, history: History) -> None:
    """Wait until the copy is the history's newest."""
    await until(lambda: running.project.position == history.position)
    copy = running.project.replica.copy
    assert copy is not None
    assert (copy.count, copy.digest) == (history.count, history.digest)
