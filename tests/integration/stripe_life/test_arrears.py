"""Payments that fail: thirty days of grace from the oldest open invoice, recovery, and what dunning ends in."""

from typing import Any

import pytest

from tests.support.stripe_standin import DAY
from tests.support.town import GRACE, PAST_DUE_GRACE, Town, period_end


async def late(town: Town, interval: str = "month") -> Any:
    """A subscription whose renewal was not paid."""
    bought = await town.subscribed(await town.price("export", interval))
    await town.charges(bought.customer, "fail")
    town.wait_until(period_end(bought) + 1)
    return bought


async def finalised(town: Town, invoice: str) -> int:
    """When an invoice was finalised."""
    return int((await town.client.invoices.retrieve_async(invoice)).status_transitions.finalized_at)


@pytest.mark.parametrize("interval", ["month", "year"])
async def test_past_due_has_thirty_days(town: Town, interval: str) -> None:
    """Whatever the period's length, grace counts from the invoice."""
    bought = await late(town, interval)
    subscription = await town.stripes(bought)
    assert subscription.status == "past_due"
    end = await finalised(town, subscription.latest_invoice) + PAST_DUE_GRACE
    assert await town.ends() == {"export": end}
    assert await town.allowed("export", end - 1, end) == [True, False]


async def test_recovery(town: Town) -> None:
    """Once the invoice is paid, the period that runs counts again."""
    bought = await late(town)
    await town.charges(bought.customer, "succeed")
    town.wait(4 * DAY)
    subscription = await town.stripes(bought)
    assert subscription.status == "active"
    assert await town.ends() == {"export": period_end(subscription) + GRACE}


async def test_recovery_after_grace(town: Town) -> None:
    """After the grace nothing is allowed; a payment brings it back."""
    await town.shop.control("settings", dunning_end="past_due", dunning=[3 * DAY])
    bought = await late(town)
    first = (await town.stripes(bought)).latest_invoice
    town.wait(29 * DAY)
    assert await town.ends() == {"export": await finalised(town, first) + PAST_DUE_GRACE}
    town.wait(3 * DAY)
    assert (await town.answer("export")).reason == "expired"
    await town.charges(bought.customer, "succeed")
    await town.client.invoices.pay_async(first)
    await town.client.invoices.pay_async((await town.stripes(bought)).latest_invoice)
    assert (await town.stripes(bought)).status == "active"
    assert (await town.answer("export")).allowed


async def test_the_oldest_open_invoice_counts(town: Town) -> None:
    """A second invoice that stays open prolongs nothing."""
    await town.shop.control("settings", dunning_end="past_due", dunning=[3 * DAY])
    bought = await late(town)
    first = (await town.stripes(bought)).latest_invoice
    town.wait_until(period_end(await town.stripes(bought)) + 1)
    subscription = await town.stripes(bought)
    assert (subscription.status, subscription.latest_invoice != first) == ("past_due", True)
    assert await town.ends() == {"export": await finalised(town, first) + PAST_DUE_GRACE}


@pytest.mark.parametrize(("end", "features"), [("canceled", ["export"]), ("unpaid", [])])
async def test_dunning_that_gives_up(town: Town, end: str, features: list[str]) -> None:
    """After the last try it is cancelled, which ends it then, or unpaid, which grants nothing."""
    await town.shop.control("settings", dunning_end=end, dunning=[DAY, DAY])
    bought = await late(town)
    town.wait(3 * DAY)
    subscription = await town.stripes(bought)
    assert (subscription.status, await town.features()) == (end, features)
    assert await town.allowed("export", town.now) == [False]


@pytest.mark.parametrize("act", ["void_invoice_async", "mark_uncollectible_async"])
async def test_a_debt_that_is_given_up(town: Town, act: str) -> None:
    """A voided or written-off invoice makes the subscription active again, with the period that runs."""
    bought = await late(town)
    await getattr(town.client.invoices, act)((await town.stripes(bought)).latest_invoice)
    subscription = await town.stripes(bought)
    assert subscription.status == "active"
    assert await town.ends() == {"export": period_end(subscription) + GRACE}


async def test_an_invoice_that_is_sent(town: Town) -> None:
    """Paid by invoice, it becomes past due when the invoice does, and grace counts from the due date."""
    customer = await town.customer()
    bought = await town.subscription(
        await town.price("export", "year"), customer=customer, collection_method="send_invoice", days_until_due=14
    )
    assert (bought.status, await town.ends()) == ("active", {"export": period_end(bought) + GRACE})
    due = (await town.client.invoices.retrieve_async(bought.latest_invoice)).due_date
    town.wait_until(due + 1)
    assert (await town.stripes(bought)).status == "past_due"
    assert await town.ends() == {"export": due + PAST_DUE_GRACE}
    await town.client.invoices.pay_async(bought.latest_invoice, {"paid_out_of_band": True})
    assert await town.ends() == {"export": period_end(bought) + GRACE}


@pytest.mark.parametrize("lost", ["invoice.*", "invoice.finalized"])
async def test_an_invoice_of_which_nothing_was_heard(town: Town, lost: str) -> None:
    """With its invoice's events lost, a yearly subscription's grace is thirty days all the same."""
    await town.shop.control("faults", fault="drop", types=[lost])
    bought = await late(town, "year")
    end = await finalised(town, (await town.stripes(bought)).latest_invoice) + PAST_DUE_GRACE
    assert await town.ends() == {"export": end}


async def test_cancelled_while_past_due(town: Town) -> None:
    """A stated end before the grace's is the end; cancelled now, it is now."""
    bought = await late(town)
    soon = town.now + 5 * DAY
    await town.change(bought, cancel_at=soon)
    assert await town.ends() == {"export": soon}
    ended = await town.client.subscriptions.cancel_async(bought.id)
    assert await town.ends() == {"export": ended.ended_at}
