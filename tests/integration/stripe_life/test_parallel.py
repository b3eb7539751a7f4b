"""Different objects are worked on at the same time, and one that cannot be read or fetched holds up nobody."""

from typing import Any

from tests.support.ingest import until
from tests.support.town import Town, together
from writer.apply import objects


async def test_one_held_object_holds_up_no_other(town: Town) -> None:
    """While somebody holds one subscription's lock, nineteen others are applied."""
    price = await town.price("export")
    bought: list[Any] = await together(*(town.subscribed(price, user=f"user{n}") for n in range(20)))
    await town.settled()
    async with town.ingest.engine.begin() as connection:
        await objects.lock(connection, [bought[0].id])
        await together(*(town.change(one, cancel_at_period_end=True) for one in bought))
        waiting = "SELECT count(*) = 1 FROM webhook_events WHERE status = 'pending'"
        await until(
            town.ingest, f"({waiting}) AND (SELECT count(*) = 19 FROM subscriptions WHERE cancel_at_period_end)"
        )
    await town.settled()
    rows = await town.ingest.query("SELECT 1 FROM subscriptions WHERE cancel_at_period_end")
    assert len(rows) == 20


async def test_one_bad_event_holds_up_no_other(town: Town) -> None:
    """What cannot be read is parked with its reason, while purchases go on, also of the same user."""
    broken = {"id": "sub_broken", "object": "subscription", "customer": "cus_1", "status": "bizarre"}
    await town.shop.control("events", type="customer.subscription.updated", object=broken)
    await town.subscribed(await town.price("export"))
    await town.shop.standin.deliveries.idle()
    await until(town.ingest, "SELECT NOT EXISTS (SELECT FROM webhook_events WHERE status = 'pending')")
    parked = await town.ingest.query("SELECT object_id, last_error FROM webhook_events WHERE status = 'parked'")
    assert [row.object_id for row in parked] == ["sub_broken"]
    assert "status" in parked[0].last_error
    assert (await town.judged("export", town.now + 1)).allowed
