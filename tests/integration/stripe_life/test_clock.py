"""Time itself: no blink at a renewal, and every stated end on its second; judged by the rule that sidecars use."""

from typing import Any

import pytest

from tests.support.stripe_standin import DAY
from tests.support.town import GRACE, PAST_DUE_GRACE, TRIAL_GRACE, Town, period_end

HOUR = 3_600


def around(moment: int, *after: int) -> list[int]:
    """The seconds before and at a moment, and so many seconds after it."""
    return [moment - 2, moment - 1, moment, moment + 1, *(moment + seconds for seconds in after)]


@pytest.mark.parametrize("lateness", [0, 60, 10 * 60, 6 * HOUR, 71 * HOUR])
@pytest.mark.parametrize("interval", ["day", "month", "year"])
async def test_a_renewal_never_blinks(town: Town, interval: str, lateness: int) -> None:
    """However late the renewal's webhooks are, up to the grace, every second around it is allowed."""
    if interval == "day" and lateness > DAY:
        lateness = DAY - 60  # else the next renewal is due too
    bought = await town.subscribed(await town.price("export", interval))
    await town.settled()
    end = period_end(bought)
    await town.shop.control("hold")
    town.wait_until(end + lateness)
    moments = [at for at in around(end, 60, 10 * 60, HOUR, 6 * HOUR, DAY, lateness) if at <= end + lateness]
    before = [(await town.judged("export", at)).allowed for at in moments]
    await town.shop.control("release")
    after = await town.allowed(
        "export", *moments, end + lateness + 1, period_end(await town.stripes(bought)) + GRACE - 1
    )
    assert (set(before), set(after)) == ({True}, {True})


async def test_three_renewals_with_every_event_in_the_wrong_order(town: Town) -> None:
    """Told backwards and late, three renewals leave no second uncovered."""
    bought = await town.subscribed(await town.price("export"))
    await town.settled()
    for _ in range(3):
        end = period_end(await town.stripes(bought))
        await town.shop.control("hold")
        town.wait_until(end + 2 * HOUR)
        assert {(await town.judged("export", at)).allowed for at in around(end, HOUR)} == {True}
        held = [job.event for job in town.shop.standin.deliveries.held]
        await town.shop.control("release", order=held[::-1])
        assert set(await town.allowed("export", *around(end, HOUR, 2 * HOUR))) == {True}


async def test_without_its_renewal_it_ends_with_the_grace(town: Town) -> None:
    """Grace covers a late webhook and no more: with none at all it ends on the second."""
    bought = await town.subscribed(await town.price("export"))
    await town.settled()
    end = period_end(bought) + GRACE
    assert await town.allowed("export", *around(end)) == [True, True, False, False]


@pytest.mark.parametrize("told", [True, False])
async def test_cancelled_at_the_periods_end_it_ends_on_the_second(town: Town, told: bool) -> None:
    """Whether Stripe's word of the end has arrived or not."""
    bought = await town.subscribed(await town.price("export"))
    await town.change(bought, cancel_at_period_end=True)
    await town.settled()
    end = period_end(bought)
    if not told:
        await town.shop.control("faults", fault="drop")
    town.wait_until(end + 60)
    await town.settled()
    assert [(await town.judged("export", at)).allowed for at in around(end)] == [True, True, False, False]
    answer = await town.judged("export", end)
    assert (answer.reason, answer.valid_to) == ("expired", end * 1_000_000)


async def test_cancel_at_ends_on_the_second(town: Town) -> None:
    """In the middle of a period."""
    bought = await town.subscribed(await town.price("export"))
    end = town.now + 11 * DAY + 17
    await town.change(bought, cancel_at=end)
    assert await town.allowed("export", *around(end)) == [True, True, False, False]


@pytest.mark.parametrize("lateness", [0, 60, 59 * 60])
async def test_a_trial_that_is_paid_never_blinks(town: Town, lateness: int) -> None:
    """Its end is covered for an hour."""
    trial = await town.subscribed(await town.price("export"), trial_period_days=7)
    await town.settled()
    end = trial.trial_end
    await town.shop.control("hold")
    town.wait_until(end + lateness)
    assert {(await town.judged("export", at)).allowed for at in around(end, lateness)} == {True}
    await town.shop.control("release")
    assert set(await town.allowed("export", *around(end, TRIAL_GRACE, DAY))) == {True}


async def test_past_due_ends_on_the_second(town: Town) -> None:
    """Thirty days after the invoice was finalised, and not before; the period's end in between changes nothing."""
    await town.shop.control("settings", dunning_end="past_due", dunning=[3 * DAY])
    bought = await town.subscribed(await town.price("export"))
    await town.charges(bought.customer, "fail")
    town.wait_until(period_end(bought) + 1)
    subscription: Any = await town.stripes(bought)
    invoice = await town.client.invoices.retrieve_async(subscription.latest_invoice)
    end = invoice.status_transitions.finalized_at + PAST_DUE_GRACE
    moments = [*around(period_end(bought)), *around(end)]
    expected = [True] * 4 + [True, True, False, False]
    assert await town.allowed("export", *moments) == expected
    town.wait_until(end + 60)
    assert await town.allowed("export", *moments) == expected


async def test_a_purchase_begins_when_it_was_paid(town: Town) -> None:
    """Not before, and it never ends."""
    price = await town.price("archive", None)
    session = await town.shop.session(price, mode="payment", metadata={"user_id": "ada", "project_id": "shop"})
    town.wait(2 * HOUR)
    await town.shop.control(f"pay/{session.id}", outcome="pay")
    paid = town.now
    assert await town.allowed("archive", paid - HOUR, paid, paid + 10_000 * DAY) == [False, True, True]


@pytest.mark.parametrize("behind", [90, 0], ids=["past", "future"])
async def test_a_test_clock_of_another_time(town: Town, behind: int) -> None:
    """In a test clock's time, before ours or after it, every change is told in its order all the same."""
    start, clocks = town.now - behind * DAY, town.client.test_helpers.test_clocks
    clock = await clocks.create_async({"frozen_time": start})
    export, archive = await town.price("export"), await town.price("archive")
    bought = await town.subscription(export, customer=await town.customer(test_clock=clock.id))
    for days in (32, 64, 89):
        await clocks.advance_async(clock.id, {"frozen_time": start + days * DAY})
        await town.settled()
        running = await town.stripes(bought)
        assert await town.ends() == {"export": period_end(running) + GRACE}
    changed = await town.change(bought, items=[{"id": running["items"].data[0].id, "price": archive.id}])
    assert await town.ends() == {"archive": period_end(changed) + GRACE}
