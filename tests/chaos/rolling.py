"""A rolling restart under load: webhooks at a pace, the writers restarted in turn; what is lost, and what it costs."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import asyncpg
import orjson

from benchmarks.subscribers import Pattern, Sent, in_order
from sandbox.stripe.delivery import signature
from tests.chaos.billing import Billing
from tests.chaos.commits import Reader
from tests.chaos.plant import Plant
from tests.lives.courier import SECRET
from tests.support.waiting import eventually

PROJECT: Final = "alpha"
PATIENCE_S: Final = 180.0
_VERSIONS: Final = 2
_LOOK_S: Final = 0.02
_AGAIN_S: Final = 0.05
_AT_ONCE: Final = 64


@dataclass(slots=True)
class Rolled:
    """What came of it."""

    events: int = 0
    seconds: float = 0.0
    refused: int = 0
    """Attempts that were not acknowledged; Stripe makes another one."""
    longest_pause: float = 0.0
    """Seconds for which a committed revision was not yet at a sidecar that reaches Redis, at most."""
    violations: list[str] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Events that were acknowledged in a second."""
        return self.events / self.seconds if self.seconds else 0.0


async def roll(plant: Plant, billing: Billing, reader: Reader, *, per_second: float, seconds: float) -> Rolled:
    """Send for so many seconds; after the first, restart one writer after the other."""
    rolled = Rolled()
    events = await _events(billing, int(per_second * seconds) // _VERSIONS)
    watching = asyncio.create_task(_watch(plant, reader, rolled))
    began = time.monotonic()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_send(plant, events, per_second, rolled))
            group.create_task(_restart(plant))
        rolled.events, rolled.seconds = len(events), time.monotonic() - began
        rolled.violations += await _lost(plant, events)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return rolled


async def _events(billing: Billing, subscribers: int) -> Sequence[Sent]:
    """Whole subscriptions as Stripe tells of them, made from one that the stand-in holds."""
    town = billing.town
    customer = await town.api.post("customers")
    made = await town.api.post(
        "subscriptions",
        customer=customer["id"],
        items=[{"price": town.price("pro_month")}],
        metadata={"user_id": "pattern-user", "project_id": PROJECT},
    )
    store = town.standin.store
    envelope = next(one for one in store.where("event", type="customer.subscription.created") if _is_of(one, made))
    text = orjson.dumps(store.get("subscription", made["id"]))
    for name, mark in ((made["id"], b"SUB"), (customer["id"], b"CUS"), (made["items"]["data"][0]["id"], b"ITEM")):
        text = text.replace(name.encode(), b"<" + mark + b">")
    pattern = Pattern(envelope, text.replace(b"pattern-user", b"<USER>"))
    return in_order(pattern.subscribers("rolled", subscribers, _VERSIONS))


def _is_of(event: dict[str, Any], made: dict[str, Any]) -> bool:
    return bool(event["data"]["object"]["id"] == made["id"])


async def _send(plant: Plant, events: Sequence[Sent], per_second: float, rolled: Rolled) -> None:
    gate = asyncio.Semaphore(_AT_ONCE)
    began = time.monotonic()
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http,
        asyncio.timeout(PATIENCE_S),
        asyncio.TaskGroup() as group,
    ):
        for number, event in enumerate(events):
            await asyncio.sleep(began + number / per_second - time.monotonic())
            await gate.acquire()
            group.create_task(_until_acknowledged(http, plant.balancer.url, event, gate, rolled))


async def _until_acknowledged(
    http: aiohttp.ClientSession, url: str, event: Sent, gate: asyncio.Semaphore, rolled: Rolled
) -> None:
    try:
        while not await _acknowledged(http, url, event):
            rolled.refused += 1
            await asyncio.sleep(_AGAIN_S)
    finally:
        gate.release()


async def _acknowledged(http: aiohttp.ClientSession, url: str, event: Sent) -> bool:
    headers = {"Stripe-Signature": signature(event.body, (SECRET,), int(time.time()))}
    try:
        async with http.post(f"{url}/api/v1/webhooks/stripe", data=event.body, headers=headers) as answer:
            await answer.read()
            return answer.ok
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


async def _restart(plant: Plant) -> None:
    for writer in plant.writers:
        await asyncio.sleep(1.0)
        await writer.stop()
        await writer.start()


async def _watch(plant: Plant, reader: Reader, rolled: Rolled) -> None:
    beside = next(one for one in plant.sidecars if one.kind.redis and one.kind.writer)
    commits = reader.commits[PROJECT]
    while True:
        status = await beside.status(plant.http)
        lineage = None if status is None else commits.lineage(status[PROJECT]["epoch"])
        if status is not None and lineage is not None:
            superseded = lineage.superseded(status[PROJECT]["revision"])
            if superseded is not None:
                rolled.longest_pause = max(rolled.longest_pause, time.monotonic() - superseded)
        await asyncio.sleep(_LOOK_S)


async def _lost(plant: Plant, events: Sequence[Sent]) -> list[str]:
    """Events that are not stored, or came to no good end, and users whose document does not stand at the last one."""
    database = await asyncpg.connect(plant.database_url)
    try:

        async def done() -> bool:
            return not await database.fetchval(_PENDING)

        await eventually(done, PATIENCE_S)
        states = {row["id"]: row["status"] for row in await database.fetch(_STATES)}
        holders = {row["user_id"] for row in await database.fetch(_HOLDERS)}
    finally:
        await database.close()
    good = {"applied", "superseded"}
    lost = [f"{e.id} is {states.get(e.id, 'nowhere')}" for e in events if states.get(e.id) not in good]
    return lost + [f"{user} holds nothing" for user in sorted({event.user for event in events} - holders)]


_PENDING: Final = "SELECT EXISTS (SELECT FROM webhook_events WHERE status = 'pending')"
_STATES: Final = "SELECT id, status FROM webhook_events"
_HOLDERS: Final = "SELECT user_id FROM documents WHERE NOT is_empty"
