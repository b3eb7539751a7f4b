"""A writer's relay in this process, and what stands at Redis, as a sidecar would read it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from sqlalchemy.ext.asyncio import AsyncEngine

from common import document as documents
from common import keys, wire
from common.clock import SystemClock
from common.document import Document, DocumentError
from common.identifiers import ProjectId, UserId
from common.position import Position
from common.settings import Secret
from common.wire import Change, Heartbeat, Message
from tests.support.ledger import CLOCK, renew
from writer.cache.commands import RedisCommands
from writer.cache.copy import CacheCopy
from writer.cache.link import RedisLink, UrlConnector
from writer.cache.redis_cache import RedisCache
from writer.documents import Documents
from writer.lineage import LineageKeeper
from writer.outbox import OutboxEntry
from writer.recompute import UserKey
from writer.relay.backlog import Backlog, as_message
from writer.relay.heads import Heads, Standing
from writer.relay.lease import Lease, Leases
from writer.relay.metrics import RelayMetrics
from writer.relay.project_relay import Cursor, ProjectRelay
from writer.relay.project_snapshot import ProjectSnapshots, StoredDocument
from writer.relay.refill import Refill, Refilled
from writer.relay.repair import OnRepaired, Repair
from writer.relay.station import RelaySettings, RelayStation
from writer.wakeup import Wakeup


class Relaying:
    """Runs a `RelayStation` for the length of a block. `recomputed` lists whom it asked to compute."""

    def __init__(self, engine: AsyncEngine, redis_url: str, instance: str, cache_ttl: float | None = None) -> None:
        self._engine = engine
        self._documents = Documents(engine, CLOCK)
        self.registry = CollectorRegistry()
        self.metrics = RelayMetrics(self.registry)
        self.wakeup = Wakeup()
        self.heads = Heads(engine, self.wakeup)
        self.lineage = LineageKeeper(engine, self.metrics, self.wakeup.notify, SystemClock())
        self.recomputed: list[tuple[int, UserId]] = []
        settings = RelaySettings(UrlConnector(Secret(redis_url)), instance, cache_ttl)
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

    async def _recompute(self, project_id: int, user: UserId, anew: bool) -> None:
        self.recomputed.append((project_id, user))
        if anew:
            async with self._engine.begin() as connection:
                await renew(connection, self._documents, UserKey(project_id, user), CLOCK.now())
            self.wakeup.notify()


class LooseRelay:
    """The parts of a relay, moved by the test step by step: one project, one owner."""

    def __init__(self, engine: AsyncEngine, redis_url: str, instance: str) -> None:
        clock = SystemClock()
        self._link = RedisLink(UrlConnector(Secret(redis_url)))
        commands = RedisCommands(self._link)
        self.cache = RedisCache(commands, None)
        self.copy = CacheCopy(commands, None)
        self.backlog = Backlog(engine)
        self.snapshots = ProjectSnapshots(engine)
        self.leases = Leases(engine, instance, clock)
        self.cursor: Cursor = self.leases
        self.damage: list[str] = []
        self._clock = clock
        self._metrics = RelayMetrics(CollectorRegistry())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._link.close()

    async def take(self) -> Lease:
        """Take the only project's lease and get ready to relay it."""
        (lease,) = (await self.leases.renew()).values()
        self._prepare(lease)
        return lease

    def forget_cursor(self) -> None:
        """From now on the writer dies, so to say, before the cursor moves."""
        self.cursor = _Forgetful()
        self._prepare(self.relay.lease)

    async def refill(self) -> Refilled:
        """Make Redis whole."""
        return await Refill(self.relay, self.snapshots, self.backlog, self.copy, self._clock).run()

    def interrupt_refill(self, act: Callable[[], Awaitable[object]]) -> None:
        """Do `act` once, in the middle of the next refill."""
        original = self.copy.write_documents

        async def interrupted(project: ProjectId, stored: Sequence[StoredDocument]) -> Position | None:
            self.copy.write_documents = original  # type: ignore[method-assign]
            await act()
            return await original(project, stored)

        self.copy.write_documents = interrupted  # type: ignore[method-assign]

    def repair(self, on_repaired: OnRepaired, is_settled: Callable[[], bool] = lambda: True) -> Repair:
        """What mends single documents."""
        return Repair(self.relay, self.snapshots, self.copy, self._metrics, self._clock, on_repaired, is_settled)

    async def write_without_looking(self, entries: Sequence[OutboxEntry]) -> None:
        """What a relay does that was paused between looking at its lease and writing."""
        last = entries[-1]
        standing = Standing(last.position, last.count, last.digest)
        messages = [as_message(entry, self._clock.now()) for entry in entries]
        await self.cache.publish(self.relay.lease.project, messages)
        await self.cache.advance(self.relay.lease.project, Position(last.position.epoch, 0), standing)

    def _prepare(self, lease: Lease) -> None:
        self.relay = ProjectRelay(
            lease, self.backlog, self.cursor, self.cache, self._clock, self._metrics, self.damage.append
        )


class _Forgetful:
    async def advance(self, lease: Lease, position: Position) -> bool:
        return True


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
    """A user's document as Redis holds it; None where it is missing or unreadable."""
    try:
        data: Any = await redis.get(keys.document(UserId(user), project))
        return None if data is None else documents.decode(data)
    except (ResponseError, DocumentError):
        return None


async def meta_at(redis: Redis, project: ProjectId) -> Position | None:
    """What Redis says that it holds; None where it says nothing readable."""
    try:
        meta: Any = await redis.hgetall(keys.meta(project))
    except ResponseError:
        return None
    return Position(int(meta[b"epoch"]), int(meta[b"revision"])) if b"epoch" in meta else None


async def log_at(redis: Redis, project: ProjectId, epoch: int) -> list[Change]:
    """The change log's messages; none where it is no log."""
    try:
        entries: Any = await redis.xrange(keys.changes(epoch, project))
    except ResponseError:
        return []
    messages = [wire.decode(fields[keys.STREAM_FIELD.encode()]) for _, fields in entries]
    return [message for message in messages if not isinstance(message, Heartbeat)]
