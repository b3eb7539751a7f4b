"""Stripe down, slow, or asking for less: what needs it waits, nothing is lost, and everything else goes on."""

import asyncio
from typing import Any

import pytest

from common.clock import SECOND, Instant, format_time
from sandbox.stripe.faults import OutageMode
from tests.support import stripe_objects as stripe
from tests.support.hearsay import Hearsay, hearing
from tests.support.ingest import until
from tests.support.waiting import until as until_true
from writer import lanes
from writer.gateway.transport import Outcome, Patience

UPDATED = "customer.subscription.updated"
SETTLED = "SELECT NOT EXISTS (SELECT FROM webhook_events WHERE status = 'pending')"
FETCH = "GET /v1/subscriptions/{id}"
LONG = Patience(connect=5, answer=20, tries=1)
"""Longer than everything that must not wait for it."""


async def subscriptions(hearsay: Hearsay, count: int) -> list[str]:
    """Subscriptions at Stripe that the writer knows nothing of."""
    price = await hearsay.price("export")
    made = []
    for _ in range(count):
        customer = await hearsay.shop.client.v1.customers.create_async({"source": "tok_visa"})
        params: Any = {
            "customer": customer.id,
            "items": [{"price": price.id}],
            "metadata": {"user_id": "ada", "project_id": "shop"},
        }
        made.append((await hearsay.shop.client.v1.subscriptions.create_async(params)).id)
    return made


def thin(hearsay: Hearsay, name: str) -> Any:
    """An event of now that says no more than that a subscription changed."""
    created = format_time(Instant(hearsay.shop.standin.clock.now() * SECOND))
    return stripe.thin_event("subscription", name, created=created)


async def hint(hearsay: Hearsay, *ids: str) -> None:
    """Events that say no more than that something changed, handed to the pipeline."""
    for name in ids:
        await hearsay.ingest.receive(thin(hearsay, name))
        hearsay.ingest.pipeline.hand(name)


async def tell(hearsay: Hearsay, count: int) -> None:
    """Events that carry all that is to know, of `count` other subscriptions."""
    for number in range(count):
        await hearsay.ingest.receive(stripe.event(UPDATED, stripe.subscription(f"sub_told_{number}")))
        hearsay.ingest.pipeline.hand(f"sub_told_{number}")


TOLD = "SELECT count(*) = :count FROM webhook_events WHERE status = 'applied' AND object_id LIKE 'sub_told_%'"


async def test_a_stripe_that_hangs_holds_up_nothing_but_fetches(database_url: str) -> None:
    """More fetches hang than there are workers, and every event that needs none is applied before one of them ends."""
    async with hearing(database_url, patience=LONG) as hearsay:
        names = await subscriptions(hearsay, 20)
        hearsay.shop.standin.outage.begin(OutageMode.SLOW, delay=60)
        before = len(hearsay.shop.standin.requests)
        async with hearsay.ingest.working():
            await hint(hearsay, *names)
            await until_true(lambda: len(hearsay.shop.standin.requests) - before >= lanes.FETCHERS)
            await tell(hearsay, 20)
            await until(hearsay.ingest, TOLD, count=20)
            assert hearsay.transport.outcomes == {}
            hearsay.shop.standin.outage.begin(OutageMode.NONE)  # those that hang are answered
            await until(hearsay.ingest, SETTLED)
        assert set((await hearsay.ingest.statuses()).values()) == {"applied"}


@pytest.mark.parametrize("mode", [OutageMode.DOWN, OutageMode.CUT, OutageMode.SLOW, OutageMode.RATE_LIMIT])
async def test_events_wait_out_an_outage(database_url: str, mode: OutageMode) -> None:
    """However Stripe fails: fetches wait, are tried again, and are all applied afterwards; others go on meanwhile."""
    async with hearing(database_url) as hearsay:
        names = await subscriptions(hearsay, 12)
        hearsay.shop.standin.outage.begin(mode, delay=5, retry_after=1)
        async with hearsay.ingest.working():
            await hint(hearsay, *names)
            await until(hearsay.ingest, "SELECT count(*) >= 3 FROM webhook_events WHERE attempts > 0")
            await tell(hearsay, 20)
            await until(hearsay.ingest, TOLD, count=20)
            (row,) = await hearsay.ingest.query("SELECT count(*) AS left FROM webhook_events WHERE status = 'pending'")
            assert row.left == len(names)
            hearsay.shop.standin.outage.begin(OutageMode.NONE)
            await until(hearsay.ingest, SETTLED)
        assert set((await hearsay.ingest.statuses()).values()) == {"applied"}


async def test_while_stripe_is_away_hardly_anything_is_asked(database_url: str) -> None:
    """After some failures in a row only now and then one request looks whether it is back; the rest does not ask."""
    async with hearing(database_url) as hearsay:
        names = await subscriptions(hearsay, 40)
        hearsay.shop.standin.outage.begin(OutageMode.DOWN)
        async with hearsay.ingest.working():
            await hint(hearsay, *names)
            await until_true(lambda: hearsay.transport.breaker.is_open)
            asked = len(hearsay.shop.standin.requests)
            await until(hearsay.ingest, "SELECT min(attempts) >= 3 FROM webhook_events")
            # Forty objects were tried again at least twice more each, with a pause of a second at the least.
            assert len(hearsay.shop.standin.requests) - asked < 2 * len(names)
            hearsay.shop.standin.outage.begin(OutageMode.NONE)
            await until(hearsay.ingest, SETTLED)
        assert not hearsay.transport.breaker.is_open


async def test_a_429_makes_all_background_work_wait(database_url: str) -> None:
    """One answer 429 with Retry-After: for so long no other fetch is sent, and its limit is counted by its name."""
    async with hearing(database_url) as hearsay:
        names = await subscriptions(hearsay, 12)
        hearsay.shop.standin.outage.begin(OutageMode.RATE_LIMIT, requests=1, retry_after=2)
        async with hearsay.ingest.working():
            await hint(hearsay, names[0])
            await until_true(lambda: hearsay.transport.outcomes[FETCH, Outcome.LIMITED] == 1)
            refused = hearsay.shop.standin.requests[-1][2]
            await hint(hearsay, *names[1:])
            await until(hearsay.ingest, SETTLED)
        first = next(arrived for _, _, arrived in hearsay.shop.standin.requests if arrived > refused)
        assert first - refused > 1.5
        assert hearsay.transport.limits == {"global-rate": 1}


async def test_a_thousand_events_of_one_object_cost_one_fetch(database_url: str) -> None:
    """What had been received when a fetch began is settled by it."""
    async with hearing(database_url) as hearsay:
        (name,) = await subscriptions(hearsay, 1)
        async with hearsay.ingest.working():
            await hint(hearsay, name)
            await until(hearsay.ingest, SETTLED)  # price and product are known by now
        async with asyncio.TaskGroup() as group:
            for _ in range(1000):
                group.create_task(hearsay.ingest.receive(thin(hearsay, name)))
        hearsay.ingest.pipeline = hearsay.ingest.another("writer-1")  # the first one was stopped
        before = len(hearsay.shop.standin.requests)
        async with hearsay.ingest.working():
            hearsay.ingest.pipeline.hand(name)
            await until(hearsay.ingest, SETTLED)
        assert len(hearsay.shop.standin.requests) - before == 1
        (row,) = await hearsay.ingest.query(
            "SELECT count(*) FILTER (WHERE status = 'superseded') AS superseded FROM webhook_events"
        )
        assert row.superseded == 999


async def test_a_claim_lasts_as_long_as_its_fetch(database_url: str) -> None:
    """A fetch that takes longer than a claim is not begun by another writer too."""
    async with hearing(database_url, claim=0.6, patience=LONG) as hearsay:
        (name,) = await subscriptions(hearsay, 1)
        hearsay.shop.standin.outage.begin(OutageMode.SLOW, requests=1, delay=2.5)
        before = hearsay.asked(f"/v1/subscriptions/{name}")
        other = hearsay.ingest.another("writer-2", claim=0.6)
        async with hearsay.ingest.working():
            await hint(hearsay, name)
            await until_true(lambda: hearsay.asked(f"/v1/subscriptions/{name}") > before)
            task = asyncio.create_task(other.run())
            await until(hearsay.ingest, SETTLED)
            await other.stop(within=5)
            await task
        assert hearsay.asked(f"/v1/subscriptions/{name}") - before == 1


async def test_what_finds_no_room_to_fetch_is_left_for_later(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond so many waiting fetches an object goes back to Postgres, for any writer, and no try is counted."""
    monkeypatch.setattr(lanes, "MOST_FETCHING", 1)
    async with hearing(database_url, patience=LONG) as hearsay:
        names = await subscriptions(hearsay, 2)
        hearsay.shop.standin.outage.begin(OutageMode.SLOW, delay=60)
        async with hearsay.ingest.working():
            await hint(hearsay, *names)
            await until(
                hearsay.ingest,
                "SELECT count(*) = 1 FROM webhook_events"
                " WHERE claimed_by IS NULL AND attempts = 0 AND next_attempt_at > now()",
            )
            hearsay.shop.standin.outage.begin(OutageMode.NONE)
