"""The stage: a plan played on a stand-in and two real writers, and judged beside the oracle."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp
import asyncpg
import psycopg
from psycopg import sql

from sandbox.postgres import PostgresServer
from sandbox.service import environment
from sandbox.stripe.faults import OutageMode
from sandbox.stripe.ledger import Settings
from sandbox.stripe.server import Options, StripeStandIn
from tests.lives import acts, broken, writer_acts
from tests.lives.compare import Difference, differences
from tests.lives.courier import SECRET, Courier
from tests.lives.goods import PROJECTS
from tests.lives.oracle import Oracle
from tests.lives.plan import Fault, Plan
from tests.lives.sweeper import Sweeper
from tests.lives.town import Town
from tests.lives.writer_api import ADMIN_KEY, WriterApi
from tests.lives.writer_process import WriterProcess
from tests.support.postgres import drop_database

WRITERS: Final = 2
_PATIENCE_S: Final = 120
_POLL_S: Final = 0.02
_SWEEP_WITHIN: Final = 20 * 86_400
_HURRY: Final = 50
"""Polls after which what was put off is due: few enough tries that nothing is parked for it."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The servers that all stages of a run share. `template` is a database at the newest migration."""

    postgres: PostgresServer
    template: str
    redis_url: str
    logs: Path

    @asynccontextmanager
    async def database(self, name: str) -> AsyncIterator[str]:
        """The URL of a fresh database."""
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            made = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(made.format(sql.Identifier(name), sql.Identifier(self.template)))
        try:
            yield self.postgres.url_of(name)
        finally:
            drop_database(self.postgres, name)


@dataclass(slots=True)
class Outcome:
    """What a plan came to."""

    lives: int = 0
    events: int = 0
    delivered: int = 0
    faults: Counter[Fault] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """Count another plan's outcome in."""
        self.lives += other.lives
        self.events += other.events
        self.delivered += other.delivered
        self.faults += other.faults
        self.done += other.done
        self.refused += other.refused
        self.differences += other.differences


async def play(ground: Ground, plan: Plan, *, mutation: str | None = None, name: str = "lives") -> Outcome:
    """Play a plan on a stage of its own; what differs from the oracle is in the outcome."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(ground.database(name))
        options = Options(seed=f"{plan.seed}", settings=Settings(**plan.settings))
        standin = await stack.enter_async_context(StripeStandIn(options))
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)))
        database = await asyncpg.connect(url)
        stack.push_async_callback(database.close)
        writers = [
            WriterProcess(f"{name}-{number}", _environment(ground, url, standin.url), ground.logs, mutation)
            for number in range(WRITERS)
        ]
        for writer in writers:
            stack.callback(writer.kill)
            writer.start()
        await asyncio.gather(*(writer.ready(http) for writer in writers))
        sweeper = await Sweeper.open(stack, url, standin.url, standin.clock)
        return await Stage(plan, standin, writers, http, database, sweeper).play()


def _environment(ground: Ground, database_url: str, stripe_url: str) -> dict[str, str]:
    return environment(
        {
            "DATABASE_URL": database_url,
            "REDIS_URL": ground.redis_url,
            "STRIPE_SECRET_KEY": "sk_test_sandbox",
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_API_BASE": stripe_url,
            "STRIPE_MAX_RPS": "100",
            "ADMIN_API_KEY": ADMIN_KEY,
            "EVENT_CLAIM": "1s",
            "STRIPE_SWEEP_EVERY": "1d",  # the stage sweeps when the town's time asks for it
            "LOG_LEVEL": "WARNING",
        }
    )


class Stage:
    """One plan under way."""

    def __init__(
        self,
        plan: Plan,
        standin: StripeStandIn,
        writers: list[WriterProcess],
        http: aiohttp.ClientSession,
        database: Any,
        sweeper: Sweeper,
    ) -> None:
        self._plan = plan
        self._rng = Random(f"{plan.seed}:faults")
        self._standin = standin
        self._writers = writers
        self._http = http
        self._database = database
        self._sweeper = sweeper
        self._swept_at = standin.clock.now()
        self._found = 0
        self._urls = [writer.url for writer in writers]
        self._town = Town(standin, http)
        self._courier = Courier(standin.ledger, http, plan.rates, Random(f"{plan.seed}:courier"), plan.version)
        self._api = WriterApi(http, self._urls, Random(f"{plan.seed}:api"))

    async def play(self) -> Outcome:
        """Play all ticks; the first check that finds a difference ends it."""
        await self._open()
        found: list[Difference] = []
        for tick, gap in enumerate(self._plan.gaps):
            await self._tick(tick)
            await self._advance(gap)
            if tick == len(self._plan.gaps) - 1 or tick in self._plan.checks:
                await self._bring_in_everything()
                found = await self._judge()
                if found:
                    break
        courier, town = self._courier, self._town
        return Outcome(
            len(self._plan.lives), courier.events, courier.delivered, courier.faults, town.done, town.refused, found
        )

    async def _open(self) -> None:
        await self._sweep()  # as every writer does when it starts: from here on nothing that is dropped is missed
        for project in PROJECTS:
            await self._api.open_project(project)
        await self._town.stock()
        for project in PROJECTS:
            await writer_acts.declare(self._town, self._api, project)

    async def _tick(self, tick: int) -> None:
        self._courier.tick = tick
        self._courier.turn_version()
        here = self._plan.at(tick)
        for act in here:
            if act.what in acts.AT_STRIPE:
                await acts.play(self._town, act)
        if tick in self._plan.broken:
            for event in broken.events(self._town, self._rng, tick):
                self._courier.faults[Fault.BROKEN] += 1
                self._courier.insert(event)
        if tick in self._plan.outages:
            self._courier.faults[Fault.OUTAGE] += 1
            self._standin.outage.begin(OutageMode(self._plan.outages[tick]), seconds=0.6, requests=5, delay=0.2)
        at_writer = [act for act in here if act.what in writer_acts.AT_WRITER]
        await asyncio.gather(
            self._courier.deliver(self._urls),
            writer_acts.play_all(self._town, self._api, at_writer),
            self._kill() if tick in self._plan.kills else asyncio.sleep(0),
        )
        self._standin.outage.begin(OutageMode.NONE)
        if self._rng.random() < 0.4:
            await self._quiet()

    async def _advance(self, seconds: int) -> None:
        """Move the clock; the event list reaches back thirty days, so that the sweep comes by before."""
        if self._town.now + seconds - self._swept_at > _SWEEP_WITHIN:
            await self._sweep()
        self._standin.advance(seconds)

    async def _sweep(self) -> None:
        self._swept_at = self._town.now
        self._found += await self._sweeper.sweep()

    async def _kill(self) -> None:
        """A writer dies in the middle, and is started again at once."""
        await asyncio.sleep(self._rng.uniform(0, 0.15))
        self._courier.faults[Fault.KILLED] += 1
        writer = self._rng.choice(self._writers)
        writer.kill()
        writer.start()
        await writer.ready(self._http)

    async def _bring_in_everything(self) -> None:
        """Deliver what is under way, find what was dropped, and let the writers finish."""
        while self._courier.bag:
            await self._courier.deliver(self._urls, everything=True)
        await self._sweep()
        lost = [event["id"] for event in self._courier.lost]
        missing = await self._database.fetch(_MISSING, lost)
        if missing:
            raise AssertionError(f"the sweep did not find {len(missing)} of {len(lost)} dropped events: {missing[:5]}")
        self._courier.lost.clear()
        await self._quiet()

    async def _quiet(self) -> None:
        """Wait until nothing is left to be worked on; what was put off, or claimed by the dead, is due at once."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                waited = 0
                while await self._database.fetchval(_BUSY):
                    await asyncio.sleep(_POLL_S)
                    waited += 1
                    if waited % _HURRY == 0:
                        await self._database.execute(_TIME_PASSES)
        except TimeoutError as error:
            waiting = await self._database.fetch(_WAITING)
            raise AssertionError(f"never quiet: {[dict(row) for row in waiting]}") from error

    async def _judge(self) -> list[Difference]:
        parked = await self._database.fetch("SELECT id, type, last_error FROM webhook_events WHERE status = 'parked'")
        found = [
            Difference(("", row["id"]), "parked", "applied", f"{row['type']}: {row['last_error']}")
            for row in parked
            if not row["id"].startswith(broken.PREFIX)
        ]
        held = {project: await self._api.held(project) for project in PROJECTS}
        return found + differences(Oracle(self._town.account()), held, self._town.now)


_BUSY: Final = """
SELECT EXISTS (SELECT FROM webhook_events WHERE status = 'pending')
    OR EXISTS (SELECT FROM recompute_jobs WHERE finished_at IS NULL)
"""

_TIME_PASSES: Final = """
WITH events AS (
    UPDATE webhook_events SET next_attempt_at = now() WHERE status = 'pending' AND next_attempt_at > now() AND
        claimed_until IS NULL
)
UPDATE recompute_jobs SET claimed_until = now() WHERE finished_at IS NULL AND claimed_until > now() + interval '25 s'
    AND claimed_until < now() + interval '29 s'
"""

_MISSING: Final = """
SELECT w.id FROM unnest($1::text[]) AS w(id) WHERE NOT EXISTS (SELECT FROM webhook_events e WHERE e.id = w.id)
"""

_WAITING: Final = """
SELECT id, type, object_id, attempts, claimed_by, claimed_until, next_attempt_at, last_error FROM webhook_events
WHERE status = 'pending' LIMIT 5
"""
