"""A writer's relay in this process, and what stands at Redis, as a sidecar would read it."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from common import document as documents
from common import keys, wire
from common.clock import SystemClock
from common.document import Document
from common.identifiers import ProjectId, UserId
from common.position import Position
from common.settings import Secret
from common.wire import Change, Heartbeat, Message
from writer.heads import Heads
from writer.lineage import LineageKeeper
from writer.relay_metrics import RelayMetrics
from writer.relay_station import RelaySettings, RelayStation
from writer.wakeup import Wakeup


class Relaying:
    """Runs a `RelayStation` for the length of a block. `recomputed` lists whom it asked to compute."""

    def __init__(self, engine: AsyncEngine, redis_url: str, instance: str, cache_ttl: float | None = None) -> None:
        self.registry = CollectorRegistry()
        self.metrics = RelayMetrics(self.registry)
        self.wakeup = Wakeup()
        self.heads = Heads(engine, self.wakeup)
        self.lineage = LineageKeeper(engine, self.metrics, self.wakeup.notify)
        self.recomputed: list[tuple[int, UserId]] = []
        settings = RelaySettings(Secret(redis_url), instance, cache_ttl)
        self.station = RelayStation(
            settings, engine, self.heads, self.lineage, SystemClock(), self.metrics, self._recompute
        )
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.station.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Shut down in good order."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def sample(self, name: str, **labels: str) -> float:
        """A metric's value; 0 where it was never set."""
        return self.registry.get_sample_value(name, labels) or 0.0

    async def _recompute(self, project_id: int, user: UserId) -> None:
        self.recomputed.append((project_id, user))


StartRelay = Callable[..., Awaitable[Relaying]]


class Subscriber:
    """Collects every message of a project's channel."""

    def __init__(self, url: str, project: ProjectId) -> None:
        self.messages: list[Message] = []
        self._redis = Redis.from_url(url)
        self._channel = keys.channel(project)
        self._task: asyncio.Task[None] | None = None

    @property
    def changes(self) -> list[Change]:
        """Without the heartbeats."""
        return [message for message in self.messages if not isinstance(message, Heartbeat)]

    @property
    def heartbeats(self) -> list[Heartbeat]:
        """Only the heartbeats."""
        return [message for message in self.messages if isinstance(message, Heartbeat)]

    def reached(self, revision: int) -> bool:
        """Whether the newest change heard is this revision."""
        return bool(self.changes) and self.changes[-1].position.revision == revision

    async def __aenter__(self) -> Self:
        self._pubsub = self._redis.pubsub()
        await self._pubsub.subscribe(self._channel)
        self._task = asyncio.create_task(self._collect())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]
        await self._redis.aclose()

    async def _collect(self) -> None:
        while True:
            message = await self._pubsub.get_message(timeout=1)
            if message is not None and message["type"] == "message":
                self.messages.append(wire.decode(message["data"]))


async def document_at(redis: Redis, project: ProjectId, user: str) -> Document | None:
    """A user's document as Redis holds it."""
    data: Any = await redis.get(keys.document(UserId(user), project))
    return None if data is None else documents.decode(data)


async def meta_at(redis: Redis, project: ProjectId) -> Position | None:
    """What Redis says that it holds."""
    meta: Any = await redis.hgetall(keys.meta(project))
    return Position(int(meta[b"epoch"]), int(meta[b"revision"])) if b"epoch" in meta else None


async def log_at(redis: Redis, project: ProjectId, epoch: int) -> list[Change]:
    """The change log's messages."""
    entries: Any = await redis.xrange(keys.changes(epoch, project))
    messages = [wire.decode(fields[keys.STREAM_FIELD.encode()]) for _, fields in entries]
    return [message for message in messages if not isinstance(message, Heartbeat)]
