"""The composition root: the one place that names the parts and puts them together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

from aiohttp import ClientSession, DummyCookieJar, TCPConnector
from aiohttp.web import Application

from common.background import Tasks
from common.build import release
from common.clock import Clock, SystemClock
from common.identifiers import ProjectId
from common.listening import listening
from sidecar.answering import Answerer
from sidecar.api import Api
from sidecar.asking import Asker, UserOrigin
from sidecar.bootstrap import Bootstrap, SnapshotOrigin
from sidecar.bulk import BulkReader
from sidecar.catchup import ChangesOrigin
from sidecar.disk import Disk
from sidecar.fast_connection import FastServer
from sidecar.fast_lane import FastLane
from sidecar.follower import Follower
from sidecar.forward_auth import ForwardAuth
from sidecar.inbox import Inbox
from sidecar.keeper import CopyDisk, Keeper
from sidecar.management import Management
from sidecar.metrics import Metrics
from sidecar.ofrep import Ofrep
from sidecar.origin import WriterOrigin
from sidecar.presence import Presence
from sidecar.project import Project
from sidecar.redis_cache import RedisCache, connect
from sidecar.redis_feed import RedisFeed
from sidecar.refusals import Refusals
from sidecar.repair import Repair
from sidecar.settings import Settings
from sidecar.shadow import Shadow
from sidecar.streams import StreamLimits, Streams
from sidecar.writer_feed import WriterFeed

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A running sidecar."""

    address: str
    management_address: str
    projects: dict[ProjectId, Project]


class Origin(ChangesOrigin, SnapshotOrigin, UserOrigin, Protocol):
    """The writer, as everything here asks it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What projects are kept in step by."""

    settings: Settings
    cache: RedisCache | None
    origin: Origin | None
    disk: CopyDisk | None
    metrics: Metrics
    refusals: Refusals
    clock: Clock
    rng: Random


@dataclass(frozen=True, slots=True)
class Followed:
    """Projects that are kept in step, and who answers for them."""

    projects: dict[ProjectId, Project]
    answerer: Answerer
    metrics: Metrics
    clock: Clock
    rng: Random


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Sidecar]:
    """Build a sidecar, serve, and take it down again in reverse order, also when it is only half built."""
    async with AsyncExitStack() as stack:
        followed = await stack.enter_async_context(following(settings))
        projects, metrics, clock = followed.projects, followed.metrics, followed.clock
        shadow = Shadow(clock)
        metrics.registry.register(shadow)
        served = _served(followed, settings, shadow)
        lane = FastLane(projects, metrics.checks, clock)
        management = Management(projects, metrics, shadow, clock, settings.instance)
        managed_at = await stack.enter_async_context(listening(management.application(), settings.management_listen))
        served_at = await stack.enter_async_context(listening(served, settings.listen, FastServer.with_lane(lane)))
        _log.info("sidecar listening address=%s management=%s", served_at, managed_at)
        yield Sidecar(served_at, managed_at, projects)


@asynccontextmanager
async def following(settings: Settings) -> AsyncIterator[Followed]:
    """Keep the settings' projects in step until the end; none of them needs to be loaded yet."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(following_with(await _parts(settings, stack)))


@asynccontextmanager
async def following_with(parts: Parts) -> AsyncIterator[Followed]:
    """The same out of given parts."""
    async with AsyncExitStack() as stack:
        projects = {name: Project(name, parts.settings.policy) for name in parts.settings.projects}
        parts.metrics.watch(projects, parts.clock.monotonic)
        asker = Asker(parts.origin, parts.metrics, parts.clock)
        stack.push_async_callback(asker.close)
        tasks = Tasks(lambda name: parts.metrics.crashes.labels(name.split()[0]).inc(), parts.rng)
        keepers = _keepers(projects, parts, stack)
        stack.push_async_callback(tasks.stop)
        for project in projects.values():
            _follow(project, parts, tasks, keepers.get(project.id))
        yield Followed(projects, Answerer(projects, asker, parts.clock), parts.metrics, parts.clock, parts.rng)


def _served(followed: Followed, settings: Settings, shadow: Shadow) -> Application:
    """Every protocol that is spoken on `SIDECAR_LISTEN`."""
    answerer, metrics = followed.answerer, followed.metrics
    served = Api(answerer, metrics.checks, shadow).application()
    Ofrep(answerer, metrics).add_routes(served)
    ForwardAuth(answerer, metrics.checks, settings.user_header).add_routes(served)
    limits = StreamLimits(settings.max_streams, settings.expiring_ahead)
    Streams(answerer, limits, metrics, followed.clock, followed.rng).add_routes(served)
    return served


async def _parts(settings: Settings, stack: AsyncExitStack) -> Parts:
    metrics = Metrics()
    refusals = Refusals(metrics)
    cache: RedisCache | None = None
    if settings.redis_url is not None:
        nodes = connect(settings.redis_url.reveal())
        stack.push_async_callback(nodes.aclose)
        # What it would read over one connection lies on several servers of a cluster.
        bulk = None if nodes.spread else BulkReader(settings.redis_url)
        cache = RedisCache(nodes, refusals, bulk)
    origin: Origin | None = None
    if settings.writer_url is not None:
        session = ClientSession(connector=TCPConnector(limit=0), cookie_jar=DummyCookieJar())
        await stack.enter_async_context(session)
        keys = {name: key for name, key in settings.projects.items() if key is not None}
        origin = WriterOrigin(session, settings.writer_url, keys)
    disk = None if settings.snapshot_dir is None else await _disk(settings.snapshot_dir)
    return Parts(settings, cache, origin, disk, metrics, refusals, SystemClock(), Random())  # noqa: S311 - jitter only


async def _disk(folder: Path) -> Disk:
    disk = Disk(folder)
    try:
        await asyncio.to_thread(disk.prepare)
    except OSError as error:  # an app's own disk is no reason not to answer
        _log.error("cannot use SIDECAR_SNAPSHOT_DIR error=%s; saving is tried all the same", error)
    return disk


def _keepers(projects: dict[ProjectId, Project], parts: Parts, stack: AsyncExitStack) -> dict[ProjectId, Keeper]:
    """What keeps copies on disk; each saves a last time once nothing changes them any more."""
    keepers: dict[ProjectId, Keeper] = {}
    if parts.disk is None:
        return keepers
    for project in projects.values():
        keeper = Keeper(project, parts.disk, parts.metrics, parts.clock, parts.rng, parts.settings.snapshot_every)
        stack.push_async_callback(keeper.last_save)
        keepers[project.id] = keeper
    return keepers


def _follow(project: Project, parts: Parts, tasks: Tasks, keeper: Keeper | None) -> None:
    clock, rng = parts.clock, parts.rng
    inbox = Inbox()
    subscribed: Callable[[], Awaitable[None]] = _at_once
    if parts.cache is not None:
        feed = RedisFeed(project.id, parts.cache, inbox, parts.refusals, clock, rng)
        subscribed = feed.tried
        tasks.start(f"redis_feed {project.id}", feed.run)
        presence = Presence(project, parts.cache, parts.settings.instance, release(), clock, rng)
        tasks.start(f"presence {project.id}", presence.run)
    if parts.origin is not None:
        tasks.start(
            f"writer_feed {project.id}",
            WriterFeed(project, parts.origin, inbox, parts.refusals, clock, rng).run,
        )
    bootstrap = Bootstrap(project.id, parts.cache, parts.origin, clock)
    restore = None if keeper is None else keeper.restore
    repair = Repair(project, bootstrap, parts.cache, parts.origin, parts.metrics, parts.refusals, clock, restore)
    follower = Follower(project, inbox, repair, subscribed, parts.metrics, clock, rng)
    tasks.start(f"follower {project.id}", follower.run)
    if keeper is not None:
        tasks.start(f"keeper {project.id}", keeper.run)


async def _at_once() -> None:
    """There is no subscription to wait for."""
