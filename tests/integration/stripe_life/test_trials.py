"""Trials: granted from the start, an hour beyond their end for a late webhook, and then as they turned out."""

from tests.support.stripe_standin import DAY
from tests.support.town import GRACE, TRIAL_GRACE, Town, period_end


async def test_a_trial_that_is_paid(town: Town) -> None:
    """It grants at once, to its end and an hour; once the first charge succeeded, to the month's end and grace."""
    trial = await town.subscribed(await town.price("export"), trial_period_days=7)
    assert await town.ends() == {"export": trial.trial_end + TRIAL_GRACE}
    town.wait(7 * DAY + 1)
    assert await town.ends() == {"export": period_end(await town.stripes(trial)) + GRACE}


async def test_a_trial_whose_first_charge_fails(town: Town) -> None:
    """It is past due from the trial's end: thirty days of grace, then nothing."""
    trial = await town.subscribed(await town.price("export"), trial_period_days=7)
    await town.charges(trial.customer, "fail")
    town.wait(7 * DAY + 1)
    assert (await town.stripes(trial)).status == "past_due"
    assert await town.ends() == {"export": trial.trial_end + 30 * DAY}


async def test_a_trial_without_a_payment_method_that_cancels(town: Town) -> None:
    """`missing_payment_method: cancel` ends it on the second."""
    customer = await town.client.customers.create_async({})
    trial = await town.subscription(
        await town.price("export"), customer=customer, trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": "cancel"}},
    )  # fmt: skip
    town.wait(7 * DAY + 1)
    assert (await town.stripes(trial)).status == "canceled"
    assert await town.allowed("export", trial.trial_end - 1, trial.trial_end) == [True, False]


async def test_a_trial_without_a_payment_method_that_pauses(town: Town) -> None:
    """`missing_payment_method: pause` grants nothing while paused, and again once it is resumed."""
    customer = await town.client.customers.create_async({})
    trial = await town.subscription(
        await town.price("export"), customer=customer, trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": "pause"}},
    )  # fmt: skip
    town.wait(7 * DAY + 1)
    assert ((await town.stripes(trial)).status, await town.features()) == ("paused", [])
    await town.client.customers.update_async(customer.id, {"source": "tok_visa"})
    await town.client.subscriptions.resume_async(trial.id)
    assert await town.ends() == {"export": period_end(await town.stripes(trial)) + GRACE}


async def test_a_trial_without_a_payment_method_that_bills(town: Town) -> None:
    """By default an invoice is made that nobody pays: past due, with its grace."""
    customer = await town.client.customers.create_async({})
    await town.charges(customer.id, "fail")
    trial = await town.subscription(await town.price("export"), customer=customer, trial_period_days=7)
    town.wait(7 * DAY + 1)
    assert (await town.stripes(trial)).status == "past_due"
    assert await town.ends() == {"export": trial.trial_end + 30 * DAY}


async def test_a_trial_that_is_prolonged_or_cut_short(town: Town) -> None:
    """A moved `trial_end` moves the grant; `now` makes it an ordinary period."""
    trial = await town.subscribed(await town.price("export"), trial_period_days=7)
    later = trial.trial_end + 7 * DAY
    await town.change(trial, trial_end=later)
    assert await town.ends() == {"export": later + TRIAL_GRACE}
    ended = await town.change(trial, trial_end="now")
    assert ended.status == "active"
    assert await town.ends() == {"export": period_end(ended) + GRACE}


async def test_a_trial_that_is_cancelled(town: Town) -> None:
    """Cancelled at its end, it ends there exactly."""
    trial = await town.subscribed(await town.price("export"), trial_period_days=7)
    await town.change(trial, cancel_at_period_end=True)
    assert await town.ends() == {"export": trial.trial_end}
    town.wait(7 * DAY + 1)
    assert await town.allowed("export", trial.trial_end - 1, trial.trial_end) == [True, False]
