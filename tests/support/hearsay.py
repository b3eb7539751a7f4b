"""A writer's sweep beside a stand-in whose webhooks need not come: nothing is known of Stripe but by asking."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from prometheus_client import CollectorRegistry

from common.clock import SECOND, Instant
from common.settings import Secret
from sandbox.stripe.server import StripeStandIn
from tests.support import stripe_standin
from tests.support.ingest import Ingest, opened
from tests.support.stripe_standin import KEY, Shop
from writer.db.engine import create_engine
from writer.domain.stripe.event import Event
from writer.gateway.shared_rate_limit import SharedLimiter
from writer.gateway.stripe_events import StripeEvents
from writer.gateway.stripe_gateway import StripeGateway
from writer.gateway.transport import Patience, StripeTransport
from writer.inbox import Inbox
from writer.intake import Intake
from writer.schedule import Schedule
from writer.settings import DatabaseSettings, StripeSettings
from writer.sweep.cursor import Cursor
from writer.sweep.metrics import SweepMetrics
from writer.sweep.reader import EventReader
from writer.sweep.sweep import Pace, Sweep, pace

PATIENCE = Patience(connect=1, answer=0.3, tries=2, pause=0.01)
"""So that a Stripe that hangs is noticed soon."""


RESTLESS = Schedule(first=0.05, longest=0.3, tries=10_000)


class NoTrace:
    """Leaves none."""

    def leave(self, event: Event) -> None:
        """Nothing."""


class StandInClock:
    """The stand-in's time, which tests move."""

    def __init__(self, standin: StripeStandIn) -> None:
        self._standin = standin

    def now(self) -> Instant:
        """As Stripe tells it."""
        return Instant(self._standin.clock.now() * SECOND)

    def monotonic(self) -> float:
        """Real seconds: moving Stripe's time makes no request slower."""
        return time.monotonic()


@dataclass
class Hearsay:
    """A shop at Stripe, whose webhooks reach nobody, and a writer that sweeps."""

    shop: Shop
    ingest: Ingest
    transport: StripeTransport

    def sweep(self, owner: str = "writer-1", chosen: Pace | None = None) -> Sweep:
        """A writer's; another `owner` is another writer."""
        ingest, clock = self.ingest, StandInClock(self.shop.standin)
        chosen = chosen or replace(pace(None, 300), every=0)
        metrics = SweepMetrics(CollectorRegistry(), clock)
        intake = Intake(Inbox(ingest.engine, owner, 10), ingest.pipeline, NoTrace(), livemode=False)
        reader = EventReader(
            StripeEvents(self.transport),
            ingest.engine,
            intake,
            metrics,
            origin=chosen.origin,
            youngest=chosen.youngest,
        )
        cursor = Cursor(ingest.engine, owner)
        return Sweep(reader, cursor, ingest.transactions, clock, metrics, chosen)

    async def price(self, feature: str, interval: str | None = "month") -> Any:
        """A price that grants a feature of `shop`."""
        return await self.shop.price(interval=interval, metadata={"project_id": "shop", "feature_codes": feature})

    async def features(self, user: str = "ada") -> list[str]:
        """What a user's document holds."""
        return sorted(name.split()[1] for name in await self.ingest.held(user))

    def asked(self, path: str) -> int:
        """How many requests for `path` Stripe has had."""
        return sum(one[1].startswith(path) for one in self.shop.standin.requests)


@asynccontextmanager
async def hearing(
    database_url: str, claim: float = 10, patience: Patience = PATIENCE, max_rps: int = 100
) -> AsyncIterator[Hearsay]:
    """The pipeline can be let run; nothing sweeps by itself, and what fails is tried again soon and for ever."""
    async with AsyncExitStack() as stack:
        shop = await stack.enter_async_context(stripe_standin.opened())
        settings = StripeSettings(Secret(KEY), None, (), shop.standin.url, max_rps)
        engine = create_engine(DatabaseSettings(Secret(database_url), None, 3, 30, 10, 30))
        stack.push_async_callback(engine.dispose)
        limiter = await stack.enter_async_context(SharedLimiter(engine, max_rps))
        clock = StandInClock(shop.standin)
        transport = await stack.enter_async_context(StripeTransport(settings, limiter, clock, patience))
        ingest = await stack.enter_async_context(opened(database_url, claim, StripeGateway(transport)))
        ingest.clock.at = shop.standin.clock.now()
        ingest.pipeline = ingest.another("writer-1", claim, outage=RESTLESS)
        yield Hearsay(shop, ingest, transport)
