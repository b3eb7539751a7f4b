"""Money that comes late, goes back or is disputed, and checkouts that end otherwise."""

import pytest
import stripe

from tests.support.stripe_standin import DAY, Shop


async def test_refunds_add_up_and_may_fail(shop: Shop) -> None:
    """Two partial refunds reach the amount; the one that fails later gives it back to the charge."""
    session = await shop.bought(await shop.price(1000, None), mode="payment")
    refunds = shop.client.v1.refunds
    first = await refunds.create_async({"payment_intent": session.payment_intent, "amount": 400})
    await shop.settled()
    assert shop.receiver.last("charge.refunded")["refunded"] is False
    await refunds.create_async({"charge": str(first.charge)})
    await shop.settled()
    assert shop.receiver.last("charge.refunded")["refunded"] is True
    with pytest.raises(stripe.InvalidRequestError, match="already been refunded"):
        await refunds.create_async({"charge": str(first.charge)})
    await shop.control(f"refunds/{first.id}", status="failed")
    charge = await shop.client.v1.charges.retrieve_async(str(first.charge))
    assert (charge.amount_refunded, charge.refunded) == (600, False)
    assert shop.standin.store.get("refund", first.id)["status"] == "failed"


async def test_a_pending_refund_can_be_cancelled(shop: Shop) -> None:
    """Only what has not succeeded is cancelled."""
    session = await shop.bought(await shop.price(1000, None), mode="payment")
    await shop.control("refunds/next", status="pending")
    refund = await shop.client.v1.refunds.create_async({"payment_intent": session.payment_intent})
    assert refund.status == "pending"
    assert (await shop.client.v1.refunds.cancel_async(refund.id)).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError):
        await shop.client.v1.refunds.cancel_async(refund.id)


@pytest.mark.parametrize("status", ["won", "lost", "warning_closed"])
async def test_disputes_open_and_close(shop: Shop, status: str) -> None:
    """The bank opens one and closes it once."""
    session = await shop.bought(await shop.price(1000, None), mode="payment")
    dispute = await shop.control("disputes", payment_intent=session.payment_intent)
    await shop.control(f"disputes/{dispute['id']}", status=status)
    await shop.settled()
    assert shop.receiver.last("charge.dispute.closed")["status"] == status
    listed = await shop.client.v1.disputes.list_async({"payment_intent": session.payment_intent})
    assert [one.status for one in listed.data] == [status]


async def test_a_free_checkout_needs_no_payment(shop: Shop) -> None:
    """With 100 % off there is no payment intent and nothing to pay."""
    coupon = await shop.client.v1.coupons.create_async({"percent_off": 100, "duration": "once"})
    session = await shop.bought(await shop.price(1000, None), mode="payment", discounts=[{"coupon": coupon.id}])
    assert (session.payment_status, session.payment_intent, session.amount_total) == ("no_payment_required", None, 0)


@pytest.mark.parametrize(("outcome", "status"), [("async_succeed", "paid"), ("async_fail", "unpaid")])
async def test_slow_money_is_unpaid_until_it_comes(shop: Shop, outcome: str, status: str) -> None:
    """An asynchronous method completes the session unpaid; the bank's answer comes as its own event."""
    session = await shop.session(await shop.price(1000, None), mode="payment")
    done = await shop.control(f"pay/{session.id}", outcome="pay_async")
    assert (done["session"]["status"], done["session"]["payment_status"]) == ("complete", "unpaid")
    await shop.control(f"pay/{session.id}", outcome=outcome)
    assert (await shop.client.v1.checkout.sessions.retrieve_async(session.id)).payment_status == status
    word = "succeeded" if status == "paid" else "failed"
    assert f"checkout.session.async_payment_{word}" in await shop.settled()


async def test_an_unpaid_session_expires(shop: Shop) -> None:
    """A day later it is expired and cannot be paid."""
    session = await shop.session(await shop.price())
    shop.standin.advance(DAY + 1)
    assert "checkout.session.expired" in await shop.settled()
    async with shop.http.post(f"{shop.standin.url}/_sandbox/pay/{session.id}", json={}) as answer:
        assert answer.status == 400


async def test_metadata_goes_where_it_was_meant(shop: Shop) -> None:
    """The session's, the subscription's and the payment's metadata are three things."""
    v1, price = shop.client.v1, await shop.price()
    data = {"metadata": {"user_id": "u"}}
    session = await shop.bought(price, metadata={"a": "1"}, subscription_data=data, client_reference_id="u")
    subscription = await v1.subscriptions.retrieve_async(session.subscription)
    assert (session.metadata.to_dict(), subscription.metadata.to_dict()) == ({"a": "1"}, {"user_id": "u"})
    assert session.client_reference_id == "u"
    bought = await shop.bought(await shop.price(5, None), mode="payment", payment_intent_data={"metadata": {"b": "2"}})
    intent = await v1.payment_intents.retrieve_async(bought.payment_intent)
    assert intent.metadata.to_dict() == {"b": "2"}
