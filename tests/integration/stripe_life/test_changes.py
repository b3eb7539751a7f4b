"""A running subscription is changed: plan, quantity, items, owner; the document follows what Stripe holds."""

import pytest

from tests.support.stripe_standin import DAY
from tests.support.town import GRACE, Town, owned, period_end

BEHAVIOURS = ("create_prorations", "always_invoice", "none")


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
async def test_an_upgrade(town: Town, behaviour: str) -> None:
    """The new price's features hold at once, however the difference is billed, for the period that runs."""
    cheap, dear = await town.price("export"), await town.price("archive", amount=5000)
    bought = await town.subscribed(cheap)
    town.wait(10 * DAY)
    item = {"id": bought["items"].data[0].id, "price": dear.id}
    changed = await town.change(bought, items=[item], proration_behavior=behaviour)
    assert period_end(changed) == period_end(bought)
    assert await town.ends() == {"archive": period_end(bought) + GRACE}


async def test_a_downgrade_from_a_year_to_a_month(town: Town) -> None:
    """Another interval begins a new period at once, and the shorter end is the one that counts."""
    yearly, monthly = await town.price("export", "year"), await town.price("export", "month")
    bought = await town.subscribed(yearly)
    town.wait(10 * DAY)
    changed = await town.change(bought, items=[{"id": bought["items"].data[0].id, "price": monthly.id}])
    assert period_end(changed) < period_end(bought)
    assert await town.ends() == {"export": period_end(changed) + GRACE}


async def test_an_upgrade_that_waits_for_its_payment(town: Town) -> None:
    """`pending_if_incomplete`: what was not paid is a `pending_update`, and changes nothing until it is paid."""
    cheap, dear = await town.price("export"), await town.price("archive", amount=5000)
    bought = await town.subscribed(cheap)
    await town.charges(bought.customer, "fail")
    items = [{"id": bought["items"].data[0].id, "price": dear.id}]
    waiting = await town.change(
        bought, items=items, proration_behavior="always_invoice", payment_behavior="pending_if_incomplete"
    )
    assert (waiting.status, waiting.pending_update is not None) == ("active", True)
    assert await town.features() == ["export"]
    await town.charges(bought.customer, "succeed")
    await town.client.invoices.pay_async(waiting.latest_invoice)
    assert (await town.stripes(bought)).pending_update is None
    assert await town.features() == ["archive"]


async def test_an_upgrade_that_is_never_paid(town: Town) -> None:
    """A `pending_update` that nobody pays within 23 hours lapses; the old plan goes on."""
    bought = await town.subscribed(await town.price("export"))
    await town.charges(bought.customer, "fail")
    items = [{"id": bought["items"].data[0].id, "price": (await town.price("archive", amount=5000)).id}]
    await town.change(
        bought, items=items, proration_behavior="always_invoice", payment_behavior="pending_if_incomplete"
    )
    town.wait(DAY)
    assert ((await town.stripes(bought)).pending_update, await town.features()) == (None, ["export"])


async def test_quantities(town: Town) -> None:
    """A limit marked per unit follows the quantity; 0 grants nothing, and more than 0 again does."""
    seats = await town.price("any")
    await town.declare(seats, "seats", 3, per_unit=True)
    bought = await town.subscribed(seats)
    values = []
    for quantity in (5, 0, 2):
        await town.change(bought, items=[{"id": bought["items"].data[0].id, "quantity": quantity}])
        values.append((await town.answer("seats")).value)
    assert values == [15, None, 6]


async def test_several_items_of_different_periods(town: Town) -> None:
    """Each item holds until its own period's end; one that is removed goes, one that is added comes."""
    monthly, yearly = await town.price("export", "month"), await town.price("archive", "year")
    bought = await town.subscribed(monthly, yearly)
    ends = {item.price.id: item.current_period_end for item in bought["items"].data}
    assert await town.ends() == {"export": ends[monthly.id] + GRACE, "archive": ends[yearly.id] + GRACE}
    town.wait_until(ends[monthly.id] + 1)
    renewed = {item.price.id: item for item in (await town.stripes(bought))["items"].data}
    assert renewed[yearly.id].current_period_end == ends[yearly.id]
    assert await town.ends() == {
        "export": renewed[monthly.id].current_period_end + GRACE, "archive": ends[yearly.id] + GRACE
    }  # fmt: skip
    added = await town.price("import", "month")
    await town.change(bought, items=[{"id": renewed[monthly.id].id, "deleted": True}, {"price": added.id}])
    assert await town.features() == ["archive", "import"]


async def test_more_items_than_an_object_shows(town: Town) -> None:
    """A subscription of twelve items grants all twelve, although Stripe's objects show only the first ten."""
    prices = [await town.price(f"part_{number:02}") for number in range(12)]
    await town.subscribed(*prices)
    assert await town.features() == [f"part_{number:02}" for number in range(12)]


async def test_metadata_moves_the_grant(town: Town) -> None:
    """Edited `user_id` takes it from one user and gives it to the other; a wrong project gives it to nobody."""
    bought = await town.subscribed(await town.price("export"))
    assert await town.features("ada") == ["export"]
    await town.change(bought, metadata=owned("bob"))
    assert (await town.features("ada"), await town.features("bob")) == ([], ["export"])
    await town.change(bought, metadata={"project_id": "elsewhere"})
    assert await town.features("bob") == []
    await town.change(bought, metadata={"project_id": ""})
    assert await town.features("bob") == ["export"]


@pytest.mark.parametrize("behaviour", ["void", "keep_as_draft", "mark_uncollectible"])
async def test_paused_collection_keeps_access(town: Town, behaviour: str) -> None:
    """While invoices are held back the subscription renews and grants; it goes on when collection resumes."""
    bought = await town.subscribed(await town.price("export"))
    await town.change(bought, pause_collection={"behavior": behaviour})
    town.wait_until(period_end(bought) + 1)
    renewed = await town.stripes(bought)
    assert renewed.status == "active"
    assert await town.ends() == {"export": period_end(renewed) + GRACE}
    resumed = await town.change(bought, pause_collection="")
    assert resumed.pause_collection is None
    assert await town.ends() == {"export": period_end(renewed) + GRACE}


@pytest.mark.parametrize("mode", ["classic", "flexible"])
async def test_billing_modes(town: Town, mode: str) -> None:
    """In either billing mode each item's own period counts, at the start, after a change and after a renewal."""
    monthly, extra = await town.price("export"), await town.price("archive")
    bought = await town.subscription(monthly, billing_mode={"type": mode})
    town.wait(5 * DAY)
    await town.change(bought, items=[{"price": extra.id}])
    assert set((await town.ends()).values()) == {period_end(bought) + GRACE}
    town.wait_until(period_end(bought) + 1)
    assert set((await town.ends()).values()) == {period_end(await town.stripes(bought)) + GRACE}


async def test_metered_and_tiered_prices(town: Town) -> None:
    """A metered item has no quantity and a tiered price no amount: both grant as others do."""
    meter = await town.price(
        "calls", recurring={"interval": "month", "usage_type": "metered", "meter": "mtr_1"}, interval=None
    )
    tiers = [{"up_to": 10, "unit_amount": 500}, {"up_to": "inf", "unit_amount": 300}]
    tiered = await town.price("any", amount=None, billing_scheme="tiered", tiers_mode="volume", tiers=tiers)
    await town.declare(tiered, "seats", 2, per_unit=True)
    bought = await town.subscription(meter)
    assert "quantity" not in bought["items"].data[0]
    await town.change(bought, items=[{"price": tiered.id, "quantity": 4}])
    assert await town.features() == ["calls", "seats"]
    assert (await town.answer("seats")).value == 8
    town.wait_until(period_end(bought) + 1)
    assert (await town.stripes(bought)).status == "active"
