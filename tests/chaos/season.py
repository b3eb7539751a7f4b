"""A season: billing life with one fault, or a pair, after the other, under the observer's eyes."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Final

import aiohttp

from sandbox.ports import free_port
from sandbox.stripe.faults import Fault as Disturbance
from sandbox.stripe.faults import Rule
from sandbox.stripe.server import Options, StripeStandIn
from tests.chaos import plant as plants
from tests.chaos.billing import Billing
from tests.chaos.commits import Reader
from tests.chaos.ending import Acknowledged, crashes, ending
from tests.chaos.faults import KINDS, Fault, Ground
from tests.chaos.observer import Observed, Observer
from tests.chaos.plant import SIDECARS, PlantConfig, SidecarKind
from tests.chaos.rolling import Rolled, roll
from tests.lives.goods import PROJECTS
from tests.lives.town import Town
from tests.lives.writer_api import WriterApi

RECOVERED_WITHIN_S: Final = 90.0
_POLL_S: Final = 0.03
_AFTERWARDS_S: Final = 2.0
"""What was held back may still be under way."""
_DUMP_EVERY: Final = 4  # rounds
_RETRY_SCALE: Final = 1 / 1500

_ROLLED_FOR_S: Final = 15.0

_ON_THE_WAY: Final = (
    Rule(Disturbance.DUPLICATE, probability=0.1),
    Rule(Disturbance.DELAY, probability=0.1, seconds=0.5),
    Rule(Disturbance.BAD_SIGNATURE, probability=0.01),
)
"""What happens to webhooks all the time."""

TOGETHER: Final = " + "
"""Between the names of faults that come together."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SeasonConfig:
    """What is to happen. `seconds` None: every kind once, several at a time, and then it is over."""

    seed: int
    folder: Path
    seconds: float | None = None
    together: int = 3
    """How many faults at a time, where `seconds` is None."""
    lasts: tuple[float, float] = (1.0, 5.0)
    """How long a fault lasts: at least, at most."""
    calm: float = 1.0
    """Seconds after each recovery."""
    acts_per_second: float = 4.0
    rolled_at: float | None = None
    """Events a second under which the writers are restarted in turn after the end; None: not at all."""
    age_slack: float = 1.0
    """By how many seconds a fresh answer's age may be understated."""


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    seed: int
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds by kind, of faults that were alone or not."""
    takeovers: list[float] = field(default_factory=list)
    observed: Observed = field(default_factory=Observed)
    acts: int = 0
    revisions: int = 0
    events: int = 0
    lost_by_restore: int = 0
    """Acknowledged events that went with a database, and came back by reconcile."""
    restores: int = 0
    rolled: Rolled | None = None
    violations: list[str] = field(default_factory=list)


def rounds(rng: Random, config: SeasonConfig) -> Iterator[Sequence[Fault]]:
    """Which faults come together: each alone and then pairs for ever, or all of them in groups."""
    kinds = list(KINDS)
    rng.shuffle(kinds)
    if config.seconds is None:
        while kinds:
            yield _drawn(kinds, config.together)
        return
    for kind in kinds:
        yield [kind]
    while True:
        rng.shuffle(kinds)
        yield _drawn(list(kinds), 2)


def _drawn(kinds: list[Fault], most: int) -> Sequence[Fault]:
    """The first ones that have no part in common; they leave the list."""
    chosen: list[Fault] = []
    for kind in list(kinds):
        if len(chosen) < most and not any(kind.parts & other.parts for other in chosen):
            chosen.append(kind)
            kinds.remove(kind)
    return chosen


@asynccontextmanager
async def opened(
    config: SeasonConfig, *, writers: int = 2, kinds: Sequence[SidecarKind] = SIDECARS
) -> AsyncIterator[tuple[Ground, StripeStandIn]]:
    """Stripe, the plant, its projects and sidecars, in step."""
    async with AsyncExitStack() as stack:
        port = free_port()
        options = Options(
            seed=f"{config.seed}",
            webhook_url=f"http://127.0.0.1:{port}/api/v1/webhooks/stripe",
            retry_scale=_RETRY_SCALE,
        )
        standin = await stack.enter_async_context(StripeStandIn(options))
        standin.faults.reseed(config.seed)
        for rule in _ON_THE_WAY:
            standin.faults.add(replace(rule))
        plant = await stack.enter_async_context(plants.running(PlantConfig(config.folder, standin.url, writers, port)))
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)))
        api = WriterApi(http, [plant.balancer.url], Random(f"{config.seed}:api"))
        billing = Billing(Town(standin, http), api, config.seed, config.acts_per_second)
        await billing.open()
        await plants.add_sidecars(plant, {project: api.keys[project] for project in PROJECTS}, kinds)
        reader = Reader(plant.database_url, PROJECTS)
        stack.push_async_callback(reader.leave)
        await reader.look()
        yield Ground(plant, billing, reader, Random(f"{config.seed}:faults")), standin


class Season:
    """One season under way."""

    def __init__(self, config: SeasonConfig, ground: Ground, standin: StripeStandIn, say: Say) -> None:
        self._config = config
        self._ground = ground
        self._standin = standin
        self._say = say
        self._acknowledged = Acknowledged(standin.deliveries)
        ground.on_restore = self._acknowledged.may_be_lost
        self._observer = Observer(
            ground.plant.sidecars,
            ground.reader.commits,
            ground.billing.question,
            Random(f"{config.seed}:questions"),
            config.age_slack,
        )
        self.outcome = Outcome(config.seed, observed=self._observer.seen)

    async def play(self) -> Outcome:
        """Play it; whatever goes wrong is in the outcome."""
        began = time.monotonic()
        looking, observing, living = (
            asyncio.create_task(work)
            for work in (self._ground.reader.run(), self._observer.run(), self._ground.billing.run())
        )
        try:
            await self._recovered(began)
            await self._go_wrong(began, (looking, observing, living))
            self._ground.billing.end()
            await living
            await self._recovered(time.monotonic())
            self.outcome.violations += await ending(self._ground, self._standin, self._acknowledged)
            await self._roll()
        except Exception as error:  # what was seen until then is told all the same
            self.outcome.violations.append(f"the season broke off: {error!r}")
        finally:
            for task in (looking, observing, living):
                task.cancel()
            ended = await asyncio.gather(looking, observing, living, return_exceptions=True)
        self.outcome.violations += [repr(e) for e in ended if isinstance(e, Exception)]
        self._sum_up(time.monotonic() - began)
        return self.outcome

    async def _go_wrong(self, began: float, tasks: Sequence["asyncio.Task[None]"]) -> None:
        config, rng = self._config, self._ground.rng
        for number, chosen in enumerate(rounds(rng, config)):
            if config.seconds is not None and time.monotonic() - began > config.seconds:
                break
            if number % _DUMP_EVERY == 0:
                await self._ground.make_dump()
            await self._round(chosen)
            await asyncio.sleep(config.calm)
            for task in tasks:
                if task.done():
                    raise AssertionError(f"the season's own work ended: {task!r}")

    async def _roll(self) -> None:
        """Last, because Stripe knows nothing of these events' subscriptions."""
        if self._config.rolled_at is None:
            return
        self._observer.going_wrong = "restart the writers in turn under load"
        ground = self._ground
        rolled = await roll(
            ground.plant, ground.billing, ground.reader, per_second=self._config.rolled_at, seconds=_ROLLED_FOR_S
        )
        self.outcome.rolled = rolled
        self.outcome.violations += rolled.violations
        await self._recovered(time.monotonic())

    async def _round(self, chosen: Sequence[Fault]) -> None:
        observer, rng, config = self._observer, self._ground.rng, self._config
        names = TOGETHER.join(fault.name for fault in chosen)
        lasts = {fault: rng.uniform(*config.lasts) for fault in chosen}
        observer.going_wrong = names
        observer.held_back = max((lasts[fault] for fault in chosen if fault.holds_back), default=0.0)
        began = time.monotonic()
        causes = (fault.cause(self._ground, lasts[fault]) for fault in chosen)
        done = await asyncio.gather(*causes, return_exceptions=True)
        self.outcome.violations += [f"{names}: {error!r}" for error in done if isinstance(error, BaseException)]
        over = max((moment for moment in done if isinstance(moment, float)), default=time.monotonic())
        recovery = await self._recovered(over) - over
        while self._ground.afterwards:
            await self._ground.afterwards.pop()()
        for fault in chosen:
            self.outcome.faults[fault.name] += 1
            self.outcome.recoveries[fault.name].append(recovery)
        self.outcome.pairs += len(chosen) > 1
        self._say(f"{names}: {over - began:.1f} s, whole again after {recovery:.2f} s")
        await asyncio.sleep(_AFTERWARDS_S if observer.held_back else 0)
        observer.going_wrong, observer.held_back = "nothing", 0.0

    async def _recovered(self, since: float) -> float:
        """Wait until every sidecar was found to be at the head after `since`; when it was so (monotonic seconds)."""
        began, behind = time.monotonic(), "nobody was asked"
        while time.monotonic() - began < RECOVERED_WITHIN_S:
            if await self._ground.reader.look():
                behind = await self._behind(since)
                if not behind:
                    return time.monotonic()
            await asyncio.sleep(_POLL_S)
        self.outcome.violations.append(f"not whole again within {RECOVERED_WITHIN_S:g} s: {behind}")
        return time.monotonic()

    async def _behind(self, since: float) -> str:
        heads = {project: commits.head for project, commits in self._ground.reader.commits.items()}
        plant = self._ground.plant
        statuses = await asyncio.gather(*(one.status(plant.http) for one in plant.sidecars))
        for one, status in zip(plant.sidecars, statuses, strict=True):
            for project, head in heads.items():
                standing = None if status is None else status[project]
                if standing is None or not plants.stands_at(standing, head, since):
                    return f"{one.kind.name} stands at {standing}, {project} at {head.token}"
        return ""

    def _sum_up(self, seconds: float) -> None:
        self._observer.finish()
        outcome, ground = self.outcome, self._ground
        outcome.seconds = seconds
        outcome.takeovers, outcome.restores = ground.takeovers, ground.restores
        outcome.acts, outcome.events = ground.billing.acts, len(self._acknowledged.events)
        outcome.lost_by_restore = self._acknowledged.lost
        for commits in ground.reader.commits.values():
            outcome.revisions += commits.revisions
            outcome.violations += commits.faults
        outcome.violations += ground.billing.faults + outcome.observed.violations + crashes(self._config.folder)


async def play(config: SeasonConfig, say: Say) -> Outcome:
    """Play a season on a plant of its own."""
    async with opened(config) as (ground, standin):
        say("the plant runs")
        return await Season(config, ground, standin, say).play()
