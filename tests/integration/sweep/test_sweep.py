"""The sweep: what was never delivered is found on Stripe's event list, by one writer at a time, and nothing twice."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from common.clock import SECOND
from sandbox.stripe.faults import OutageMode
from tests.support.hearsay import Hearsay, hearing
from tests.support.ingest import until
from tests.support.stripe_standin import DAY
from writer.domain.stripe.kinds import KIND_OF_TYPE
from writer.gateway.errors import StripeUnavailableError
from writer.gateway.stripe_events import TYPES
from writer.sweep.cursor import Cursor, LeaseLostError
from writer.sweep.sweep import OVERLAP_SECONDS, pace

SETTLED = "SELECT NOT EXISTS (SELECT FROM webhook_events WHERE status = 'pending')"
ADA = {"user_id": "ada", "project_id": "shop"}
MINUTE = 60


@pytest.fixture
async def hearsay(database_url: str) -> AsyncIterator[Hearsay]:
    """A writer that hears nothing, and has looked at the list once."""
    async with hearing(database_url) as hearsay:
        await hearsay.sweep().once()
        hearsay.shop.standin.advance(MINUTE)
        yield hearsay


async def cursor(hearsay: Hearsay) -> int | None:
    """Up to where the list was read, Unix seconds."""
    read_to = await Cursor(hearsay.ingest.engine, "nobody").read()
    return None if read_to is None else read_to // SECOND


async def test_what_was_never_delivered_is_found(hearsay: Hearsay) -> None:
    """A purchase whose every webhook was lost is in the document after the next sweep."""
    price = await hearsay.price("export")
    await hearsay.shop.subscribed(price, subscription_data={"metadata": ADA})
    hearsay.shop.standin.advance(2 * MINUTE)
    asked_at = hearsay.shop.standin.clock.now()
    async with hearsay.ingest.working():
        found = await hearsay.sweep().once()
        await until(hearsay.ingest, SETTLED)
        assert await hearsay.features() == ["export"]
    rows = await hearsay.ingest.query("SELECT origin, status FROM webhook_events")
    assert found == len(rows) > 3
    assert {row.origin for row in rows} == {"sweep"}
    assert (await cursor(hearsay) or 0) >= asked_at


async def test_nothing_is_found_twice(hearsay: Hearsay) -> None:
    """Ten minutes are read again each time, and what is known is not stored, nor worked on, again."""
    await hearsay.price("export")
    hearsay.shop.standin.advance(2 * MINUTE)
    assert await hearsay.sweep().once()
    hearsay.shop.standin.advance(2 * MINUTE)
    assert await hearsay.sweep().once() == 0


async def test_what_stripe_lists_late_is_found(hearsay: Hearsay) -> None:
    """An event that appears behind the cursor is found as long as ten minutes are read again."""
    await hearsay.price("export")
    hearsay.shop.standin.advance(2 * MINUTE)
    await hearsay.sweep().once()
    (late,) = await hearsay.ingest.query("DELETE FROM webhook_events WHERE type = 'price.created' RETURNING id")
    hearsay.shop.standin.advance(OVERLAP_SECONDS - 4 * MINUTE)
    assert await hearsay.sweep().once() == 1
    assert await hearsay.ingest.query("SELECT id FROM webhook_events WHERE id = :id", id=late.id) != []


async def test_a_young_event_is_left_to_its_webhook(hearsay: Hearsay) -> None:
    """What Stripe is delivering just now is not called missing; a minute later it is."""
    chosen = pace(None, 300)
    await hearsay.price("export")
    assert await hearsay.sweep(chosen=chosen).once() == 0
    hearsay.shop.standin.advance(2 * MINUTE)
    assert await hearsay.sweep(chosen=chosen).once()


async def test_a_list_of_many_pages_is_read_whole(hearsay: Hearsay) -> None:
    """More events than a page holds are all found, with one look at each page."""
    product = await hearsay.shop.client.v1.products.create_async({"name": "Pro"})
    for number in range(230):
        hearsay.shop.standin.ledger.emit("product.updated", {**product.to_dict(), "name": f"Pro {number}"})
    hearsay.shop.standin.advance(2 * MINUTE)
    asked = hearsay.asked("/v1/events")
    assert await hearsay.sweep().once() == 231
    assert hearsay.asked("/v1/events") - asked == len(TYPES) + 2


async def test_every_type_of_ours_is_asked_for() -> None:
    """Each exactly once, and no request names more than Stripe takes."""
    assert all(0 < len(types) <= 20 for types in TYPES)
    assert sorted(name for types in TYPES for name in types) == sorted(KIND_OF_TYPE)


async def test_the_cursor_stays_where_a_sweep_failed(hearsay: Hearsay) -> None:
    """Stripe goes away between two pages: what was found is kept, the cursor is not moved, the next sweep ends it."""
    before = await cursor(hearsay)
    await hearsay.price("export")
    hearsay.shop.standin.advance(2 * MINUTE)
    sweep = hearsay.sweep()
    events = sweep._reader._events
    whole = events.page

    async def cut(*arguments: object) -> object:
        if events.page is cut and arguments[0] != TYPES[0]:
            hearsay.shop.standin.outage.begin(OutageMode.DOWN)
        return await whole(*arguments)  # type: ignore[arg-type]

    events.page = cut  # type: ignore[method-assign, assignment]
    with pytest.raises(StripeUnavailableError):
        await sweep.once()
    assert await cursor(hearsay) == before
    hearsay.shop.standin.outage.begin(OutageMode.NONE)
    asked_at = hearsay.shop.standin.clock.now()
    assert await hearsay.sweep("writer-2").once() is not None
    assert (await cursor(hearsay) or 0) >= asked_at


async def test_one_writer_sweeps_at_a_time(hearsay: Hearsay) -> None:
    """While one reads, others leave the list alone; a reader that is not heard of any more is replaced."""
    first, second = Cursor(hearsay.ingest.engine, "writer-1"), hearsay.sweep("writer-2")
    assert await first.take(0)
    assert await second.once() is None
    await hearsay.ingest.query("UPDATE event_cursor SET expires_at = now() - interval '1 second'")
    assert await second.once() == 0
    with pytest.raises(LeaseLostError):
        await first.keep()


async def test_what_was_swept_just_now_is_not_swept_again(hearsay: Hearsay) -> None:
    """Several writers wake in turn; the list is read once a period, not once a period by each."""
    assert await hearsay.sweep("writer-2").once(due_after=300) is None
    assert await hearsay.sweep("writer-2").once(due_after=0) is not None


async def test_an_outage_of_days_is_made_up_for_in_parts(hearsay: Hearsay) -> None:
    """The writer was down for a week: everything since is found, the oldest part first, each part kept for itself."""
    price = await hearsay.price("export")
    await hearsay.shop.subscribed(price, subscription_data={"metadata": ADA})
    hearsay.shop.standin.advance(7 * DAY)
    await hearsay.shop.price()
    hearsay.shop.standin.advance(2 * MINUTE)
    hearsay.ingest.clock.at = hearsay.shop.standin.clock.now()
    sweep = hearsay.sweep()
    parts: list[int] = []
    advance = sweep._advance

    async def noted(to: int) -> None:
        parts.append(to)
        await advance(to)  # type: ignore[arg-type]

    sweep._advance = noted  # type: ignore[method-assign]
    async with hearsay.ingest.working():
        await sweep.once()
        await until(hearsay.ingest, SETTLED)
        assert await hearsay.features() == ["export"]
    assert parts == sorted(parts)
    assert len(parts) > 7 * 4


async def test_a_cursor_that_stripe_forgot_ends_in_a_reconcile_run(hearsay: Hearsay) -> None:
    """After more than 28 days the list may lack something: whole objects are compared, and the sweep begins anew."""
    await hearsay.ingest.query(
        "INSERT INTO reconcile_runs (kind, cause, stage, finished_at) VALUES ('reconcile', 'last', 'documents', now())"
    )
    hearsay.shop.standin.advance(29 * DAY)
    asked_at = hearsay.shop.standin.clock.now()
    assert await hearsay.sweep().once() == 0
    (run,) = await hearsay.ingest.query("SELECT kind, cause, finished_at, since FROM reconcile_runs WHERE id > 1")
    assert (run.kind, run.cause, run.finished_at, run.since) == ("reconcile", "sweep", None, None)  # all is listed
    assert (await cursor(hearsay) or 0) >= asked_at
    hearsay.shop.standin.advance(MINUTE)
    await hearsay.sweep().once()
    assert len(await hearsay.ingest.query("SELECT id FROM reconcile_runs WHERE id > 1")) == 1


async def test_a_database_that_knows_events_goes_on_from_the_newest(database_url: str) -> None:
    """An older release received webhooks and had no sweep: what was lost in an outage before the upgrade is found."""
    async with hearing(database_url) as hearsay:
        await hearsay.price("export")
        (known,) = [one for one in hearsay.shop.standin.store.all("event") if one["type"] == "product.created"]
        await hearsay.ingest.receive(known)
        hearsay.shop.standin.advance(3 * 3_600)
        assert await hearsay.sweep().once() == 1  # the price


async def test_other_apps_events_are_kept_and_not_applied(hearsay: Hearsay) -> None:
    """What the webhook would ignore the sweep ignores: the wrong mode, a connected account."""
    item = {"object": "product", "id": "prod_other"}
    hearsay.shop.standin.inject("product.updated", item, {"livemode": True})
    hearsay.shop.standin.inject("product.updated", item, {"account": "acct_1"})
    hearsay.shop.standin.inject("product.updated", item, {"id": "evt_unreadable", "livemode": "no"})
    hearsay.shop.standin.advance(2 * MINUTE)
    assert await hearsay.sweep().once() == 2
    assert set((await hearsay.ingest.statuses()).values()) == {"ignored"}


async def test_two_writers_sweep_in_the_background(hearsay: Hearsay) -> None:
    """Both run, and each event is found once."""
    chosen = replace(pace(None, 300), every=0.05)
    sweeps = [asyncio.create_task(hearsay.sweep(f"writer-{n}", chosen).run()) for n in (1, 2)]
    async with hearsay.ingest.working():
        price = await hearsay.price("export")
        await hearsay.shop.subscribed(price, subscription_data={"metadata": ADA})
        hearsay.shop.standin.advance(2 * MINUTE)
        await until(hearsay.ingest, "SELECT EXISTS (SELECT FROM webhook_events WHERE type LIKE 'customer.sub%')")
        await until(hearsay.ingest, SETTLED)
        assert await hearsay.features() == ["export"]
    for task in sweeps:
        task.cancel()
    await asyncio.gather(*sweeps, return_exceptions=True)
