"""A herd: hundreds of sidecars lose Redis in the same moment, go on by the writer, and come back in the same moment.

The sidecars are whole ones without their HTTP face, all in one process, which is the price of having them on one
machine: they are slower than each on its own, so the figures are an upper bound.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from benchmarks.figures import Chapter, Figure
from benchmarks.sending import Sender
from benchmarks.subscribers import Pattern
from common.clock import SystemClock
from sandbox.processes import ProcessError
from sandbox.service import Service
from sandbox.stack import Stack
from sidecar.app import Followed, following
from sidecar.freshness import State
from sidecar.project import Mode, Project
from sidecar.settings import Settings

_PER_SECOND: Final = 1.0  # two hundred polls a change are as much as one process can do beside the rest
_PATIENCE: Final = 120.0
_POLL: Final = 0.02
_SAMPLE: Final = 0.1
_TICKS: Final = 100  # of the system's clock a second


@dataclass(frozen=True, slots=True)
class Size:
    """How much: sidecars, users that they know, and seconds that Redis is away once all follow the writer."""

    sidecars: int = 200
    users: int = 1_000
    away: float = 5.0


@dataclass(slots=True)
class _Herd:
    """The sidecars, and how old their copies became."""

    stack: Stack
    followed: list[Followed]
    oldest: float = 0.0
    clock: SystemClock = field(default_factory=SystemClock)

    @property
    def projects(self) -> list[Project]:
        """Each sidecar's copy of the one project."""
        return [project for one in self.followed for project in one.projects.values()]

    def in_step(self, mode: Mode) -> bool:
        """Whether all follow that way, fresh and proven, with nothing missing."""
        now = self.clock.monotonic()
        return all(
            project.mode(now) is mode
            and project.freshness.state(now) is State.FRESH
            and project.replica.copy is not None
            and project.replica.copy.complete
            and project.position == project.head
            for project in self.projects
        )

    async def until(self, condition: Callable[[], bool]) -> float:
        """Seconds until it holds; TimeoutError."""
        began = time.monotonic()
        async with asyncio.timeout(_PATIENCE):
            while not condition():
                self._look()
                await asyncio.sleep(_POLL)
        return time.monotonic() - began

    def loads(self) -> float:
        """Copies loaded whole, of all sidecars, since they began."""
        return sum(
            one.metrics.registry.get_sample_value("sidecar_loads_total", labels) or 0.0
            for one in self.followed
            for family in one.metrics.registry.collect()
            if family.name == "sidecar_loads"
            for labels in [sample.labels for sample in family.samples if sample.name == "sidecar_loads_total"]
        )

    def _look(self) -> None:
        now = self.clock.monotonic()
        self.oldest = max(self.oldest, *(project.freshness.age(now) for project in self.projects))


async def measure(stack: Stack, size: Size | None = None) -> Chapter:
    """Lose Redis, follow the writer, have Redis back, empty; while changes go on."""
    size = size or Size()
    app = stack.apps["notes"]
    pattern = await Pattern.drawn(stack, app)
    sender = Sender(stack.writer_url, stack.keyring.webhook, stack.session)
    await sender.flood(one[0].body for one in pattern.subscribers("u", size.users, versions=1))
    changes = [event.body for one in pattern.subscribers("c", 4_000, versions=1) for event in one]
    async with _gathered(stack, size.sidecars) as herd, _changing(sender, changes):
        await herd.until(lambda: herd.in_step(Mode.REDIS))
        loads, herd.oldest = herd.loads(), 0.0
        rest = await _busy(stack, 3.0)
        await stack.kill("redis")
        to_writer = await herd.until(lambda: herd.in_step(Mode.WRITER))
        away = await _busy(stack, size.away)
        await stack.restart("redis")
        async with _counting(stack.redis.url) as connections:
            back = await herd.until(lambda: herd.in_step(Mode.REDIS))
        figures = [
            Figure("sidecars", size.sidecars),
            Figure("users", size.users),
            Figure("Redis is killed: until all are in step by the writer", to_writer, "s"),
            Figure("Redis is back, empty: until all are in step by it", back, "s", "herd.back"),
            Figure(
                "new connections to Redis in the busiest second", max(connections, default=0), "", "herd.connections"
            ),
            Figure("copies loaded anew, of all", herd.loads() - loads, "", "herd.loads"),
            Figure("oldest copy in all that time", herd.oldest, "s"),
            Figure("the writer's processor, at rest", rest * 100, "%"),
            Figure("the writer's processor, while all follow it", away * 100, "%"),
        ]
    return Chapter(
        "A herd loses Redis",
        f"{size.sidecars} sidecars of one project of {size.users:,} users, in one process; {_PER_SECOND:g} changes a "
        "second. Redis is killed, and started again empty.",
        figures,
    )


@asynccontextmanager
async def _gathered(stack: Stack, sidecars: int) -> AsyncIterator[_Herd]:
    """So many sidecars, all started at once."""
    app = stack.apps["notes"]
    async with AsyncExitStack() as exits:
        settings = [
            Settings.from_mapping(
                {
                    "SIDECAR_PROJECT": app.app.project,
                    "SIDECAR_API_KEY": app.key,
                    "REDIS_URL": stack.redis.url,
                    "WRITER_URL": stack.writer_url,
                    "SIDECAR_INSTANCE": f"herd-{number}",
                }
            )
            for number in range(sidecars)
        ]
        yield _Herd(stack, [await exits.enter_async_context(following(one)) for one in settings])


@asynccontextmanager
async def _changing(sender: Sender, bodies: list[bytes]) -> AsyncIterator[None]:
    """Changes go on in the block."""
    task = asyncio.create_task(sender.pace(bodies, _PER_SECOND))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _busy(stack: Stack, seconds: float) -> float:
    """The share of a core that the writer takes in the next seconds."""
    began, before = time.monotonic(), _ticks(stack)
    await asyncio.sleep(seconds)
    return (_ticks(stack) - before) / _TICKS / (time.monotonic() - began)


def _ticks(stack: Stack) -> int:
    part = stack.parts["writer"]
    if not isinstance(part, Service):
        raise ProcessError("the writer was not started")
    stat = Path(f"/proc/{part.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(stat[11]) + int(stat[12])


@asynccontextmanager
async def _counting(url: str) -> AsyncIterator[list[int]]:
    """New connections to Redis in each second of the block, known at its end."""
    counts: list[int] = []
    over = asyncio.Event()
    task = asyncio.create_task(_count(url, counts, over))
    try:
        yield counts
    finally:
        over.set()  # before Python 3.12 the Redis client may swallow a cancellation
        await task


async def _count(url: str, counts: list[int], over: asyncio.Event) -> None:
    totals: list[int] = [0]
    per_second = round(1 / _SAMPLE)
    async with Redis.from_url(url) as redis:
        while not over.is_set():
            with suppress(RedisError, OSError):
                totals.append(int((await redis.info("stats"))["total_connections_received"]))
                counts.append(totals[-1] - totals[max(0, len(totals) - 1 - per_second)])
            await asyncio.sleep(_SAMPLE)
