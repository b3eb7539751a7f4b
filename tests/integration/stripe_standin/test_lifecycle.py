"""Time, money and what they do to subscriptions: the rules of Stripe's billing that the product relies on."""

from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from sandbox.stripe.ledger import Settings
from sandbox.stripe.periods import end_after
from sandbox.stripe.server import Options
from tests.support.stripe_standin import DAY, FAST_RETRIES, Shop, opened


async def status_of(shop: Shop, subscription: Any) -> str:
    """The status as the API tells it now."""
    return (await shop.client.v1.subscriptions.retrieve_async(subscription.id)).status


async def test_a_subscription_renews_at_its_period_end(shop: Shop) -> None:
    """Advancing three months renews three times, each at the moment its period ended, and paid."""
    subscription = await shop.subscribed(await shop.price())
    first = subscription["items"].data[0].current_period_end
    shop.standin.advance(93 * DAY)
    await shop.settled()
    paid = [e for e in shop.receiver.events if e["type"] == "invoice.paid"][1:]
    assert paid[0]["created"] == first
    assert len(paid) == 3
    assert {e["data"]["object"]["billing_reason"] for e in paid} == {"subscription_cycle"}
    now = await shop.client.v1.subscriptions.retrieve_async(subscription.id)
    assert now["items"].data[0].current_period_end > shop.standin.clock.now()


async def test_cancelling_at_period_end_ends_without_renewal(shop: Shop) -> None:
    """`cancel_at` is the period's end, and the subscription is deleted then and not billed."""
    subscription = await shop.subscribed(await shop.price())
    end = subscription["items"].data[0].current_period_end
    asked = await shop.client.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    assert asked.cancel_at == end
    shop.standin.advance(to=end - 10)
    assert await status_of(shop, subscription) == "active"
    shop.standin.advance(20)
    await shop.settled()
    deleted = next(e for e in shop.receiver.events if e["type"] == "customer.subscription.deleted")
    assert (deleted["created"], deleted["data"]["object"]["ended_at"]) == (end, end)
    assert shop.receiver.types.count("invoice.paid") == 1


async def test_a_cancellation_can_be_dated_and_taken_back(shop: Shop) -> None:
    """`cancel_at` ends in the middle of a period; unsetting it lets the subscription live on."""
    subscription = await shop.subscribed(await shop.price())
    v1, moment = shop.client.v1, shop.standin.clock.now() + 5 * DAY
    await v1.subscriptions.update_async(subscription.id, {"cancel_at": moment})
    await v1.subscriptions.update_async(subscription.id, {"cancel_at": ""})
    shop.standin.advance(6 * DAY)
    assert await status_of(shop, subscription) == "active"
    await v1.subscriptions.update_async(subscription.id, {"cancel_at": shop.standin.clock.now() + DAY})
    shop.standin.advance(DAY)
    assert await status_of(shop, subscription) == "canceled"


async def test_a_trial_is_announced_ends_and_is_billed(shop: Shop) -> None:
    """`trialing` with nothing due, a warning three days ahead, then `active` and paid."""
    session = await shop.bought(await shop.price(), subscription_data={"trial_period_days": 7})
    assert session.payment_status == "no_payment_required"
    subscription = await shop.client.v1.subscriptions.retrieve_async(session.subscription)
    assert subscription.status == "trialing"
    shop.standin.advance(4 * DAY + 60)
    assert "customer.subscription.trial_will_end" in await shop.settled()
    shop.standin.advance(4 * DAY)
    assert await status_of(shop, subscription) == "active"
    await shop.settled()
    assert shop.receiver.last("invoice.paid")["amount_paid"] == 1000


@pytest.mark.parametrize(("behaviour", "status"), [("cancel", "canceled"), ("pause", "paused")])
async def test_a_trial_without_a_card_ends_as_asked(shop: Shop, behaviour: str, status: str) -> None:
    """`missing_payment_method` cancels or pauses; a paused one can be resumed."""
    settings = {"end_behavior": {"missing_payment_method": behaviour}}
    data = {"trial_period_days": 7, "trial_settings": settings}
    price = await shop.price()
    subscription = await shop.subscribed(price, subscription_data=data, payment_method_collection="if_required")
    shop.standin.advance(8 * DAY)
    assert await status_of(shop, subscription) == status
    if status == "paused":
        await shop.client.v1.subscriptions.resume_async(subscription.id)
        assert await status_of(shop, subscription) == "active"
        assert {"customer.subscription.paused", "customer.subscription.resumed"} <= set(await shop.settled())


@pytest.mark.parametrize("end", ["canceled", "unpaid", "past_due"])
async def test_a_failing_card_leads_through_past_due(end: str) -> None:
    """A renewal that fails is retried; all failing, the subscription ends as the account is set up."""
    options = Options(settings=Settings(dunning_end=end), retry_scale=FAST_RETRIES)
    async with opened(options) as shop:
        subscription = await shop.subscribed(await shop.price())
        await shop.control(f"payment_method/{subscription.customer}", outcome="fail")
        shop.standin.advance(32 * DAY)
        assert await status_of(shop, subscription) == "past_due"
        shop.standin.advance(20 * DAY)
        assert await status_of(shop, subscription) == end
        assert (await shop.settled()).count("invoice.payment_failed") == 4


async def test_a_recovered_card_ends_past_due(shop: Shop) -> None:
    """The next retry that succeeds makes the subscription active and its invoice paid."""
    subscription = await shop.subscribed(await shop.price())
    await shop.control(f"payment_method/{subscription.customer}", outcome="fail")
    shop.standin.advance(32 * DAY)
    await shop.control(f"payment_method/{subscription.customer}", outcome="succeed")
    shop.standin.advance(4 * DAY)
    assert await status_of(shop, subscription) == "active"
    found = await shop.client.v1.invoices.list_async({"subscription": subscription.id, "status": "paid"})
    assert len(found.data) == 2


async def test_a_failed_first_payment_expires(shop: Shop) -> None:
    """Made with a declined card it is `incomplete`, and `incomplete_expired` a day later."""
    price = await shop.price()
    customer = await shop.client.v1.customers.create_async(
        {
            "payment_method": "pm_card_chargeCustomerFail",
            "invoice_settings": {"default_payment_method": "pm_card_chargeCustomerFail"},
        }
    )
    params: Any = {"customer": customer.id, "items": [{"price": price.id}]}
    subscription = await shop.client.v1.subscriptions.create_async(params)
    assert subscription.status == "incomplete"
    shop.standin.advance(DAY)
    assert await status_of(shop, subscription) == "incomplete_expired"
    with pytest.raises(stripe.CardError):
        await shop.client.v1.subscriptions.create_async(params | {"payment_behavior": "error_if_incomplete"})


async def test_a_changed_item_is_prorated_on_the_next_invoice(shop: Shop) -> None:
    """Half a month of the old price is credited, half of the new one charged, with the renewal."""
    cheap, dear = await shop.price(1000), await shop.price(3000)
    subscription = await shop.subscribed(cheap)
    item = subscription["items"].data[0]
    half = (item.current_period_end - item.current_period_start) // 2
    shop.standin.advance(to=item.current_period_start + half)
    params: Any = {"items": [{"id": item.id, "price": dear.id}]}
    await shop.client.v1.subscriptions.update_async(subscription.id, params)
    shop.standin.advance(half + 60)
    await shop.settled()
    invoice = shop.receiver.last("invoice.paid")
    amounts = [line["amount"] for line in invoice["lines"]["data"]]
    assert amounts[2] == 3000
    assert amounts[0] == pytest.approx(-500, abs=2)
    assert amounts[1] == pytest.approx(1500, abs=2)


async def test_the_last_item_stays(shop: Shop) -> None:
    """A subscription without items is refused, and the refused change has changed nothing."""
    subscription = await shop.subscribed(await shop.price())
    (item,) = subscription["items"].data
    with pytest.raises(stripe.InvalidRequestError, match="at least one"):
        await shop.client.v1.subscription_items.delete_async(item.id)
    shop.standin.advance(32 * DAY)
    now = await shop.client.v1.subscriptions.retrieve_async(subscription.id)
    assert [one.id for one in now["items"].data] == [item.id]


async def test_a_change_of_interval_begins_a_new_period_now(shop: Shop) -> None:
    """From monthly to yearly: billed at once, and the period ends in a year."""
    subscription = await shop.subscribed(await shop.price())
    shop.standin.advance(10 * DAY)
    params: Any = {"items": [{"id": subscription["items"].data[0].id, "price": (await shop.price(9000, "year")).id}]}
    changed = await shop.client.v1.subscriptions.update_async(subscription.id, params)
    assert changed["items"].data[0].current_period_end > shop.standin.clock.now() + 364 * DAY
    await shop.settled()
    assert shop.receiver.last("invoice.paid")["billing_reason"] == "subscription_update"


async def test_items_of_different_intervals_renew_apart(shop: Shop) -> None:
    """A monthly and a yearly item have their own periods; a month later only the monthly one is billed."""
    subscription = await shop.subscribed(await shop.price(1000), await shop.price(9000, "year"))
    monthly, yearly = subscription["items"].data
    shop.standin.advance(32 * DAY)
    now = await shop.client.v1.subscriptions.retrieve_async(subscription.id)
    assert now["items"].data[0].current_period_start == monthly.current_period_end
    assert now["items"].data[1].current_period_end == yearly.current_period_end
    await shop.settled()
    assert shop.receiver.last("invoice.paid")["amount_paid"] == 1000


async def test_paused_collection_keeps_the_status(shop: Shop) -> None:
    """`pause_collection` voids the renewal's invoice; the subscription stays active."""
    subscription = await shop.subscribed(await shop.price())
    await shop.client.v1.subscriptions.update_async(subscription.id, {"pause_collection": {"behavior": "void"}})
    shop.standin.advance(32 * DAY)
    assert await status_of(shop, subscription) == "active"
    assert "invoice.voided" in await shop.settled()


async def test_a_test_clock_moves_its_customers_alone(shop: Shop) -> None:
    """Advancing a test clock renews its customer's subscription; the other's stays."""
    v1, price = shop.client.v1, await shop.price()
    clock = await v1.test_helpers.test_clocks.create_async({"frozen_time": shop.standin.clock.now()})
    customer = await v1.customers.create_async({"test_clock": clock.id})
    params: Any = {"customer": customer.id, "items": [{"price": price.id}]}
    timed, other = await v1.subscriptions.create_async(params), await shop.subscribed(price)
    target = clock.frozen_time + 32 * DAY
    advanced = await v1.test_helpers.test_clocks.advance_async(clock.id, {"frozen_time": target})
    assert advanced.status == "advancing"
    assert (await v1.test_helpers.test_clocks.retrieve_async(clock.id)).status == "ready"
    shown = [await v1.subscriptions.retrieve_async(one.id) for one in (timed, other)]
    assert shown[0]["items"].data[0].current_period_end > target
    assert shown[1]["items"].data[0].current_period_end == other["items"].data[0].current_period_end


async def test_subscriptions_are_filtered(shop: Shop) -> None:
    """By price and customer; ended ones only with `status=all`."""
    price = await shop.price()
    subscription, other = await shop.subscribed(price), await shop.subscribed(await shop.price())
    await shop.client.v1.subscriptions.cancel_async(subscription.id)
    listing = shop.client.v1.subscriptions.list_async
    assert [one.id for one in (await listing()).data] == [other.id]
    assert [one.id for one in (await listing({"status": "all", "price": price.id})).data] == [subscription.id]
    assert [one.id for one in (await listing({"customer": str(other.customer)})).data] == [other.id]


def test_months_are_counted_from_the_anchor() -> None:
    """A period begun on the 31st ends on February's last day and on the 31st again after it."""

    def day(year: int, month: int, number: int) -> int:
        return int(datetime(year, month, number, 12, tzinfo=UTC).timestamp())

    anchor, monthly = day(2027, 1, 31), {"interval": "month", "interval_count": 1}
    february = end_after(anchor, monthly, anchor)
    assert february == day(2027, 2, 28)
    assert end_after(anchor, monthly, february) == day(2027, 3, 31)
    assert end_after(anchor, {"interval": "year", "interval_count": 1}, anchor) == day(2028, 1, 31)
    assert end_after(anchor, {"interval": "week", "interval_count": 2}, anchor) == anchor + 14 * DAY
