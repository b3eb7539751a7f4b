"""The stage: a plan played on a stand-in and two real writers, and judged beside the oracle."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from random import Random
from typing import Any, Final

import aiohttp
import asyncpg
from redis.asyncio import Redis

from sandbox.stripe.faults import OutageMode
from sandbox.stripe.ledger import Settings
from sandbox.stripe.server import Options, StripeStandIn
from tests.lives import acts, broken, orders, writer_acts
from tests.lives.account import Json
from tests.lives.compare import Difference
from tests.lives.courier import Courier
from tests.lives.finders import SETTINGS, Means, finding
from tests.lives.goods import PROJECTS
from tests.lives.ground import Ground
from tests.lives.judge import Judge
from tests.lives.outcome import Outcome
from tests.lives.plan import Act, Fault, Finder, Plan
from tests.lives.quiet import Quiet
from tests.lives.redis_copy import RedisCopy
from tests.lives.sweeper import Sweeper
from tests.lives.town import Town
from tests.lives.writer_api import WriterApi
from tests.lives.writer_process import WriterProcess

WRITERS: Final = 2
_SWEEP_WITHIN: Final = 20 * 86_400
_WHILE_ORDERED: Final = 0.3
"""How often a writer dies while checkouts are opened, and not while events come."""
_INTERRUPTED: Final = 0.5


async def play(ground: Ground, plan: Plan, *, mutation: str | None = None, name: str = "lives") -> Outcome:
    """Play a plan on a stage of its own; what differs from the oracle is in the outcome."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(ground.database(name))
        options = Options(seed=f"{plan.seed}", settings=Settings(**plan.settings))
        standin = await stack.enter_async_context(StripeStandIn(options))
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)))
        database = await asyncpg.connect(url)
        stack.push_async_callback(database.close)
        redis = Redis.from_url(ground.redis_url)
        stack.push_async_callback(redis.aclose)
        environment = ground.writer(url, standin.url, SETTINGS[plan.finder])
        writers = [WriterProcess(f"{name}-{n}", environment, ground.logs, mutation) for n in range(WRITERS)]
        for writer in writers:
            stack.callback(writer.kill)
            writer.start()
        await asyncio.gather(*(writer.ready(http) for writer in writers))
        sweeper = await Sweeper.open(stack, url, standin.url, standin.clock)
        return await Stage(plan, standin, writers, http, database, RedisCopy(redis, database), sweeper).play()


class Stage:
    """One plan under way."""

    def __init__(
        self,
        plan: Plan,
        standin: StripeStandIn,
        writers: list[WriterProcess],
        http: aiohttp.ClientSession,
        database: Any,
        copy: RedisCopy,
        sweeper: Sweeper,
    ) -> None:
        self._plan = plan
        self._rng = Random(f"{plan.seed}:faults")
        self._standin = standin
        self._writers = writers
        self._http = http
        self._quiet = Quiet(database)
        self._brought_at = 0
        self._urls = [writer.url for writer in writers]
        self._town = Town(standin, http)
        self._courier = Courier(standin.ledger, http, plan.rates, Random(f"{plan.seed}:courier"), plan.version)
        self._api = WriterApi(http, self._urls, Random(f"{plan.seed}:api"))
        self._judge = Judge(self._town, self._api, database, copy, Random(f"{plan.seed}:judge"))
        means = Means(self._town, self._api, database, sweeper, self._quiet, self._hand, self._interrupt)
        self._finding = finding(plan.finder, means)

    async def play(self) -> Outcome:
        """Play all ticks; the first check that finds a difference ends it."""
        await self._open()
        found = list[Difference]()
        for tick, gap in enumerate(self._plan.gaps):
            await self._tick(tick)
            await self._advance(gap)
            last = tick == len(self._plan.gaps) - 1
            if last or tick in self._plan.checks:
                await self._bring_in_everything()
                found = await self._judge.findings(last=last)
                if found:
                    break
        courier, town, remembered = self._courier, self._town, len(self._judge.memory)
        lives, faults = len(self._plan.lives), courier.faults
        return Outcome(lives, courier.events, courier.delivered, remembered, faults, town.done, town.refused, found)

    async def _open(self) -> None:
        await self._finding.begin()
        self._brought_at = self._town.now
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
        killed_first = self._rng.random() < _WHILE_ORDERED
        await asyncio.gather(self._order(tick, here), self._killed(tick, now=killed_first))
        await asyncio.gather(
            self._courier.deliver(self._urls),
            writer_acts.play_all(self._town, self._api, at_writer),
            self._killed(tick, now=not killed_first),
        )
        self._standin.outage.begin(OutageMode.NONE)
        if self._rng.random() < 0.4:
            await self._quiet.wait()
            if self._plan.finder is not Finder.WRITERS:  # whose polling never rests
                await self._judge.remember()

    async def _order(self, tick: int, here: Sequence[Act]) -> None:
        """What is ordered at the writers; what was paid is told, and confirmed, at the same time afterwards."""
        by_life = defaultdict(list)
        for act in here:
            if act.what == "order":
                by_life[act.who].append(act)
        disturbed = tick in self._plan.outages or tick in self._plan.kills

        async def one_life(acts_: Sequence[Act]) -> None:
            for act in acts_:
                taken = await orders.order(self._town, self._api, act, disturbed=disturbed)
                (self._town.done if taken else self._town.refused)[act.what] += 1

        await asyncio.gather(*map(one_life, by_life.values()))

    async def _killed(self, tick: int, *, now: bool) -> None:
        if now and tick in self._plan.kills:
            await self._kill()

    async def _advance(self, seconds: int) -> None:
        """Move the clock; the event list reaches back thirty days, so that what was dropped is found before."""
        if self._town.now + seconds - self._brought_at > _SWEEP_WITHIN:
            await self._finding.keep_up(self._courier.lost)
            self._brought_at = self._town.now
        self._standin.advance(seconds)

    async def _kill(self) -> None:
        """A writer dies in the middle, and is started again at once."""
        await asyncio.sleep(self._rng.uniform(0, 0.15))
        self._courier.faults[Fault.KILLED] += 1
        writer = self._rng.choice(self._writers)
        writer.kill()
        writer.start()
        await writer.ready(self._http)

    async def _interrupt(self) -> None:
        if self._plan.kills and self._rng.random() < _INTERRUPTED:
            await self._kill()

    async def _hand(self, events: Sequence[Json]) -> None:
        for event in events:
            self._courier.insert(event)
        while self._courier.bag:
            await self._courier.deliver(self._urls, everything=True)

    async def _bring_in_everything(self) -> None:
        """Deliver what is under way, find what was dropped, and let the writers finish."""
        await self._hand([])
        await self._finding.find(self._courier.lost)
        self._brought_at = self._town.now
        self._courier.lost.clear()
        await self._quiet.wait()
