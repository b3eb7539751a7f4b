"""How subscriptions end, or do not: on the second, without grace, wherever an end was stated."""

import pytest

from tests.support.stripe_standin import DAY
from tests.support.town import GRACE, Town, period_end


async def test_cancelled_now(town: Town) -> None:
    """It ends at once, and answers `expired` from then on."""
    bought = await town.subscribed(await town.price("export"))
    town.wait(DAY)
    ended = await town.client.subscriptions.cancel_async(bought.id)
    assert await town.ends() == {"export": ended.ended_at}
    assert (await town.answer("export", ended.ended_at)).reason == "expired"
    assert await town.allowed("export", ended.ended_at - 1, ended.ended_at) == [True, False]


async def test_cancelled_at_the_periods_end_and_taken_back(town: Town) -> None:
    """The period's end caps exactly; taken back, it is the period's end and grace again."""
    bought = await town.subscribed(await town.price("export"))
    await town.change(bought, cancel_at_period_end=True)
    assert await town.ends() == {"export": period_end(bought)}
    await town.change(bought, cancel_at_period_end=False)
    assert await town.ends() == {"export": period_end(bought) + GRACE}
    await town.change(bought, cancel_at_period_end=True)
    town.wait_until(period_end(bought) + 10)
    assert (await town.stripes(bought)).status == "canceled"
    assert await town.ends() == {"export": period_end(bought)}


@pytest.mark.parametrize("days", [3, 45])
async def test_cancel_at_a_date(town: Town, days: int) -> None:
    """`cancel_at` within this period, or in the next one, is the end; until then it renews."""
    bought = await town.subscribed(await town.price("export"))
    end = town.now + days * DAY
    await town.change(bought, cancel_at=end)
    assert await town.ends() == {"export": min(end, period_end(bought) + GRACE)}
    if end > period_end(bought):
        town.wait_until(period_end(bought) + 1)
        assert await town.ends() == {"export": end}
    town.wait_until(end + 1)
    assert (await town.stripes(bought)).status == "canceled"
    assert await town.allowed("export", end - 1, end) == [True, False]


@pytest.mark.parametrize("name", ["min_period_end", "max_period_end"])
async def test_cancel_at_a_named_end_of_several_periods(town: Town, name: str) -> None:
    """The first item's end ends all, or the last one's does while the shorter one renews."""
    bought = await town.subscribed(await town.price("export", "month"), await town.price("archive", "year"))
    changed = await town.change(bought, cancel_at=name)
    ends = sorted(item.current_period_end for item in bought["items"].data)
    assert changed.cancel_at == ends[name == "max_period_end"]
    first = ends[0] if name == "min_period_end" else ends[0] + GRACE
    assert await town.ends() == {"export": first, "archive": changed.cancel_at}


async def test_cancelled_at_period_end_with_several_periods(town: Town) -> None:
    """The earliest item's end ends every item."""
    bought = await town.subscribed(await town.price("export", "month"), await town.price("archive", "year"))
    await town.change(bought, cancel_at_period_end=True)
    first = min(item.current_period_end for item in bought["items"].data)
    assert await town.ends() == {"export": first, "archive": first}


async def test_a_portal_that_cancels_by_date(town: Town) -> None:
    """In flexible billing the portal states `cancel_at`, not `cancel_at_period_end`: the same end."""
    await town.shop.control("settings", portal_cancels_by="cancel_at")
    bought = await town.subscribed(await town.price("export"))
    await town.change(bought, cancel_at=period_end(bought))
    assert (await town.stripes(bought)).cancel_at_period_end is False
    assert await town.ends() == {"export": period_end(bought)}
    await town.change(bought, cancel_at="")
    assert await town.ends() == {"export": period_end(bought) + GRACE}


async def test_a_deleted_customer(town: Town) -> None:
    """Its subscriptions end now; what was bought for life stays."""
    customer = await town.customer()
    bought = await town.subscription(await town.price("export"), customer=customer)
    town.wait(DAY)
    once = await town.price("archive", None)
    await town.shop.bought(once, mode="payment", customer=customer.id, metadata=bought.metadata.to_dict())
    await town.client.customers.delete_async(customer.id)
    ends = await town.ends()
    assert (ends["export"] or 0) <= town.now
    assert ends["archive"] is None


async def test_a_first_payment_that_never_came(town: Town) -> None:
    """`incomplete` grants nothing, nor does `incomplete_expired` a day later."""
    customer = await town.customer()
    await town.charges(customer.id, "fail")
    begun = await town.subscription(await town.price("export"), customer=customer)
    assert (begun.status, await town.features()) == ("incomplete", [])
    town.wait(DAY)
    assert ((await town.stripes(begun)).status, await town.features()) == ("incomplete_expired", [])


async def test_a_first_payment_that_came_later(town: Town) -> None:
    """`incomplete` becomes `active` with its first payment."""
    customer = await town.customer()
    await town.charges(customer.id, "fail")
    begun = await town.subscription(await town.price("export"), customer=customer)
    await town.charges(customer.id, "succeed")
    await town.client.invoices.pay_async(begun.latest_invoice)
    assert await town.ends() == {"export": period_end(begun) + GRACE}


@pytest.mark.parametrize("first", [False, True])
async def test_another_source_is_left_alone(town: Town, first: bool) -> None:
    """Of two subscriptions that give the same feature, the end of one leaves the other's."""
    price = await town.price("export")
    pair = [await town.subscribed(price), await town.subscribed(price)]
    ended = pair.pop(0 if first else 1)
    await town.client.subscriptions.cancel_async(ended.id)
    assert (await town.answer("export")).allowed
    assert (await town.answer("export")).valid_to == (period_end(pair[0]) + GRACE) * 1_000_000
