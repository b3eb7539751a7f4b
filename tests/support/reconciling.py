"""A town whose writer can be made to miss what happens, and workers that compare it with Stripe afterwards."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from common.clock import SystemClock
from common.settings import Secret
from tests.support.stripe_standin import KEY
from tests.support.town import Town, opened_town
from tests.support.window_limiter import WindowLimiter
from writer.gateway.stripe_lists import StripeLists
from writer.gateway.transport import Patience, StripeTransport
from writer.operations.audit import Actor
from writer.outbox import Cause
from writer.reconcile.assembly import Station, worker
from writer.reconcile.requests import ReconcileRequests, report_to_json
from writer.reconcile.runs import Run
from writer.reconcile.walk import Walk
from writer.reconcile.worker import Worker
from writer.settings import StripeSettings
from writer.wakeup import Wakeup

ACTOR = Actor("cli:test")
IMPATIENT = Patience(tries=1)


@dataclass
class Office:
    """The town, and who compares."""

    town: Town
    transport: StripeTransport
    requests: ReconcileRequests
    registries: list[CollectorRegistry] = field(default_factory=list)

    def worker(self, instance: str = "worker-1") -> Worker:
        """A worker of a writer of that name."""
        self.registries.append(CollectorRegistry())
        return worker(self.station(instance), Wakeup())

    def station(self, instance: str) -> Station:
        """What a worker of that name stands on."""
        ingest = self.town.ingest
        registry = self.registries[-1] if self.registries else CollectorRegistry()
        return Station(
            ingest.engine, ingest.transactions, self.transport, ingest.applier, ingest.relay, registry, instance,
            livemode=False,
        )  # fmt: skip

    def walk(self) -> Walk:
        """Comparing alone, which writes nothing."""
        return Walk(self.town.ingest.engine, StripeLists(self.transport))

    async def miss(self) -> None:
        """Wait until all that happened is known; from now on no event arrives."""
        await self.town.settled()
        await self.town.shop.control("faults", fault="drop", types=["*"])

    async def reconciled(self, *, full: bool = False) -> dict[str, Any]:
        """The report of a run from its beginning to its end."""
        await self.town.shop.standin.deliveries.idle()
        begun = await self.requests.begin(ACTOR, full=full)
        await self.finish(self.worker(), begun)
        return await self.report(begun)

    async def finish(self, working: Worker, run: Run) -> None:
        """Work on a run until it is done."""
        async with asyncio.timeout(30):
            while run.finished_at is None:
                await working.work_on(run.kind, run.id)
                run = await self.requests.run(run.id)

    async def report(self, run: Run) -> dict[str, Any]:
        """What a run came to, in its public shape."""
        return report_to_json(await self.requests.report(run.id, 1_000))

    def asked(self) -> Counter[str]:
        """What was asked of Stripe so far, by method and path without ids."""
        return Counter(f"{one[0]} {_without_ids(one[1])}" for one in self.town.shop.standin.requests)


def found(report: dict[str, Any], kind: str) -> dict[str, Any]:
    """The findings of a kind: object to detail."""
    return {one["object_id"]: one["detail"] for one in report["findings"] if one["finding"] == kind}


def counts(report: dict[str, Any]) -> dict[str, int]:
    """What was not as it should be, by kind; zeros left out."""
    names = ("repaired", "unknown_in_stripe", "unknown_here", "unassigned", "failed")
    return {name: report[name] for name in names if report[name]}


@asynccontextmanager
async def opened_office(database_url: str) -> AsyncIterator[Office]:
    """A running town on a fresh database, with an office."""
    async with opened_town(database_url) as town:
        for stocked in ("products", "prices"):  # Stripe has none of what the fixture sells
            await town.ingest.query(f"UPDATE {stocked} SET active = false")
        settings = StripeSettings(Secret(KEY), None, (), town.shop.standin.url, 100)
        async with StripeTransport(settings, WindowLimiter(1000), SystemClock(), IMPATIENT) as transport:
            yield Office(town, transport, ReconcileRequests(town.ingest.transactions, lambda: None))


def _without_ids(path: str) -> str:
    parts = path.partition("?")[0].split("/")
    return "/".join("{}" if "_" in part and part.split("_")[0] in _PREFIXES else part for part in parts)


_PREFIXES = {"sub", "cs", "in", "re", "du", "dp", "cus", "prod", "price", "pi", "ch", "si"}


async def recomputed(office: Office) -> None:
    """Work off what was left to be computed again."""
    ingest = office.town.ingest
    for row in await ingest.query("SELECT id FROM users"):
        await office.town.ingest.transactions.run(
            lambda connection, ref=row.id: ingest.recompute.users(connection, [ref], Cause("operator:test"))  # type: ignore[misc]
        )
