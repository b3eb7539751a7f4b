"""Two and three real writer processes behind a load balancer: they share all work, and double none of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp
import asyncpg
import orjson
import pytest

from sandbox.stripe.delivery import signature
from sandbox.stripe.server import Options, StripeStandIn
from tests.chaos import plant as plants
from tests.chaos.billing import Billing
from tests.chaos.commits import Reader
from tests.chaos.ending import equal_sidecars
from tests.chaos.plant import SIDECARS, Plant, PlantConfig
from tests.chaos.rolling import roll
from tests.lives import writer_acts
from tests.lives.compare import differences
from tests.lives.courier import SECRET
from tests.lives.goods import PROJECTS
from tests.lives.plan import Act
from tests.lives.quiet import Quiet
from tests.lives.redis_copy import RedisCopy
from tests.lives.town import Town
from tests.lives.writer_api import WriterApi
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(300)

ALPHA: Final = "alpha"
PATIENCE_S: Final = 120.0
ADA: Final = {"user_id": "ada", "project_id": ALPHA}
REQUESTS_A_SWEEP: Final = 2
"""Stripe takes so many types of events at once."""
SHORTEST_PERIOD_S: Final = 0.75
"""Of a writer that polls each second: nobody reads again what was read so short a time ago."""
BACK: Final = {"success_url": "https://shop.example/back", "cancel_url": "https://shop.example/"}


@dataclass
class House:
    """Writers, one sidecar beside them, and Stripe, which tells nothing by itself."""

    standin: StripeStandIn
    plant: Plant
    billing: Billing
    api: WriterApi
    reader: Reader
    database: Any
    http: aiohttp.ClientSession
    told: set[str] = field(default_factory=set)

    @property
    def urls(self) -> list[str]:
        """Each writer's own."""
        return [writer.config.ready_url.removesuffix("/ready") for writer in self.plant.writers]

    @property
    def town(self) -> Town:
        """What there is at Stripe."""
        return self.billing.town

    def one(self, url: str) -> WriterApi:
        """One writer's API."""
        return WriterApi(self.http, [url], Random(1), self.api.keys)

    async def tell_everybody(self) -> None:
        """Bring each event that was not told yet to all writers at the same moment."""
        for event in list(self.standin.store.all("event")):
            if event["id"] not in self.told:
                self.told.add(event["id"])
                statuses = await asyncio.gather(*(self._tell(event, url) for url in self.urls))
                assert set(statuses) == {200}
        await Quiet(self.database).wait()

    async def _tell(self, event: dict[str, Any], url: str) -> int:
        payload = orjson.dumps(event)
        headers = {"Stripe-Signature": signature(payload, [SECRET], int(time.time()))}
        async with self.http.post(f"{url}/api/v1/webhooks/stripe", data=payload, headers=headers) as answer:
            return answer.status

    async def bought(self, user: str) -> str:
        """A subscription that was made at Stripe."""
        customer = await self.town.api.post("customers")
        items, names = [{"price": self.town.price("pro_month")}], {"user_id": user, "project_id": ALPHA}
        made = await self.town.api.post("subscriptions", customer=customer["id"], items=items, metadata=names)
        return str(made["id"])

    async def grant(self, user: str) -> None:
        """Give by hand, for life."""
        told = {"name": "gift", "user": user, "feature": "export", "value": None, "wait": 0, "days": None}
        assert await writer_acts.AT_WRITER["grant"](self.town, self.api, Act(0, user, "grant", told))

    async def allowed(self, user: str) -> None:
        """Wait until the sidecar allows the export."""
        query = {"project_id": ALPHA, "user_id": user, "feature": "export"}

        async def yes() -> bool:
            async with self.http.get(f"{self.plant.sidecars[0].url}/api/v1/check", params=query) as answer:
                return bool((await answer.json())["allowed"])

        await eventually(yes, PATIENCE_S)

    async def nothing_doubled(self) -> None:
        """Stripe, Postgres, Redis and the sidecar agree; no event is stored, and none has changed anybody, twice."""
        assert await self.database.fetch(DOUBLED) == []
        await self.reader.look()
        assert [fault for commits in self.reader.commits.values() for fault in commits.faults] == []
        redis = await self.plant.client()
        async with redis:
            copy = RedisCopy(redis, self.database)
            held = {}
            for project in PROJECTS:
                await copy.caught_up(project)
                held[project] = await self.billing.held(project)
                assert await copy.differences(project, held[project]) == []
        assert differences(self.billing.oracle(), held, self.town.now) == []
        for project in PROJECTS:
            head = self.reader.commits[project].head
            assert await equal_sidecars(self.plant, project, held[project], head, held[project].documents) == []


@asynccontextmanager
async def opened(folder: Path, writers: int, **settings: str) -> AsyncIterator[House]:
    """So many writers, with settings of theirs."""
    async with AsyncExitStack() as stack:
        standin = await stack.enter_async_context(StripeStandIn(Options(seed="house")))
        config = PlantConfig(folder, standin.url, writers=writers, settings={"STRIPE_SWEEP_EVERY": "1d", **settings})
        plant = await stack.enter_async_context(plants.running(config))
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)))
        api = WriterApi(http, [plant.balancer.url], Random(1))
        billing = Billing(Town(standin, http), api, seed=1, per_second=1.0)
        await billing.open()
        await plants.add_sidecars(plant, {project: api.keys[project] for project in PROJECTS}, SIDECARS[2:])
        reader = Reader(plant.database_url, PROJECTS)
        stack.push_async_callback(reader.leave)
        await reader.look()
        database = await asyncpg.connect(plant.database_url)
        stack.push_async_callback(database.close)
        yield House(standin, plant, billing, api, reader, database, http)


Open = Callable[..., Awaitable[House]]


@pytest.fixture
async def open_house(tmp_path: Path) -> AsyncIterator[Open]:
    """Start so many writers, with further settings by their names."""
    async with AsyncExitStack() as stack:

        async def start(writers: int = 2, **settings: str) -> House:
            return await stack.enter_async_context(opened(tmp_path, writers, **settings))

        yield start


@pytest.mark.parametrize("writers", [2, 3])
async def test_an_event_that_reaches_all_writers_at_once_is_worked_on_once(open_house: Open, writers: int) -> None:
    """Each acknowledges it, one row is stored, and each change of a document is one revision."""
    house = await open_house(writers)
    subscriptions = [await house.bought(f"user-{number}") for number in range(8)]
    await house.tell_everybody()
    for subscription in subscriptions[::2]:
        await house.town.api.post(f"subscriptions/{subscription}", cancel_at_period_end=True)
    for subscription in subscriptions[1::2]:
        await house.town.api.delete(f"subscriptions/{subscription}")
    await house.tell_everybody()
    await house.nothing_doubled()
    changes = await house.database.fetch("SELECT user_id, count(*) AS n FROM entitlement_history GROUP BY user_id")
    assert {row["user_id"]: row["n"] for row in changes} == {f"user-{number}": 2 for number in range(8)}


async def test_clicks_that_reach_several_writers_open_one_checkout_for_one_customer(open_house: Open) -> None:
    """Six clicks at three writers at the same moment: one session, one customer at Stripe."""
    house = await open_house(3)
    await house.tell_everybody()
    body = {"user_id": "ada", "price_id": house.town.price("pro_month"), "quantity": 1, **BACK}
    clicks = [house.one(url).call("POST", "checkout/create", body, project=ALPHA) for url in house.urls * 2]
    answers = await asyncio.gather(*clicks)
    assert {status for status, _ in answers} == {200}, answers
    assert len({answer["session_id"] for _, answer in answers}) == 1
    customers = [one for one in house.standin.store.all("customer") if one["metadata"].get("user_id") == "ada"]
    assert len(customers) == 1
    await house.town.api.control(f"pay/{answers[0][1]['session_id']}", outcome="pay")
    await house.tell_everybody()
    await house.allowed("ada")
    await house.nothing_doubled()


async def test_several_writers_that_sweep_read_the_list_as_often_as_one(open_house: Open) -> None:
    """Without any webhook all is found, once; the list is read once a period, however many there are."""
    house = await open_house(3, STRIPE_POLL="1s")
    for number in range(5):
        await house.bought(f"user-{number}")
        await house.allowed(f"user-{number}")
    reads = [at for method, path, at in house.standin.requests if method == "GET" and path.endswith("/v1/events")]
    assert len(reads) <= REQUESTS_A_SWEEP * (1 + (reads[-1] - reads[0]) / SHORTEST_PERIOD_S)
    await Quiet(house.database).wait()
    await house.nothing_doubled()


async def test_reconcile_that_is_asked_of_all_writers_at_once_is_one_run(open_house: Open) -> None:
    """Nobody was told of anything: one run finds all of it, and repairs each thing once."""
    house = await open_house(3)
    await house.tell_everybody()
    for number in range(6):
        await house.bought(f"user-{number}")
    begun = await asyncio.gather(
        *(house.one(url).call("POST", "admin/reconcile", {"full": True}) for url in house.urls)
    )
    assert len({run["run_id"] for _, run in begun}) == 1
    await house.billing.reconcile()
    for number in range(6):
        await house.allowed(f"user-{number}")
    await house.nothing_doubled()
    repairs = await house.database.fetch("SELECT user_id, count(*) AS n FROM entitlement_history GROUP BY user_id")
    assert {row["user_id"]: row["n"] for row in repairs} == {f"user-{number}": 1 for number in range(6)}


async def test_a_stopped_lease_holder_is_replaced_and_does_no_harm_when_it_wakes(open_house: Open) -> None:
    """SIGSTOP: another relays. SIGCONT: the late one writes nothing over what is newer, and no epoch begins."""
    house = await open_house(2)
    await house.tell_everybody()
    await house.grant("before")
    await house.allowed("before")
    epoch = house.reader.commits[ALPHA].head.epoch
    holder = await house.plant.holder()
    assert holder is not None
    holder.process.pause()
    try:
        await house.grant("meanwhile")

        async def replaced() -> bool:
            now = await house.plant.holder()
            return now is not None and now is not holder

        await eventually(replaced, PATIENCE_S)
        await house.allowed("meanwhile")
    finally:
        holder.process.resume()
    for number in range(10):
        await house.grant(f"after-{number}")
    await house.allowed("after-9")
    await house.nothing_doubled()
    assert house.reader.commits[ALPHA].head.epoch == epoch
    assert holder.running


async def test_a_writer_that_ends_in_order_gives_its_leases_back(open_house: Open) -> None:
    """SIGTERM: once the process has ended nobody holds a lease, so that the next need not wait for its end."""
    house = await open_house(1)
    await house.grant("ada")
    await house.allowed("ada")
    (writer,) = house.plant.writers
    await writer.stop()
    assert writer.process.returncode == 0
    leases = await house.database.fetch("SELECT owner, expires_at < now() AS over FROM relay_leases")
    assert [(row["owner"], row["over"]) for row in leases] == [(None, True)] * len(PROJECTS)


async def test_a_rolling_restart_under_load_loses_nothing(open_house: Open, record_property: Any) -> None:
    """Webhooks go on at a pace while each writer is restarted: all are applied, and all copies are equal."""
    house = await open_house(2)
    await house.tell_everybody()
    reading = asyncio.create_task(house.reader.run())
    try:
        rolled = await roll(house.plant, house.billing, house.reader, per_second=100.0, seconds=6.0)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    record_property("longest_pause", rolled.longest_pause)
    assert rolled.violations == []
    assert await house.database.fetch(DOUBLED) == []


DOUBLED: Final = """
SELECT user_id, cause FROM entitlement_history WHERE cause LIKE 'evt\\_%' GROUP BY user_id, cause HAVING count(*) > 1
UNION ALL
SELECT p.public_id, 'outbox' FROM projects p
WHERE p.revision <> (SELECT count(*) FROM outbox o WHERE o.project_id = p.id)
"""
