"""Of one subscription's product a user has one, however many checkouts are opened, and whatever events are late."""

from typing import Any

import pytest

from sandbox.stripe.faults import OutageMode
from tests.support.checkout import Shop, both
from writer.gateway.stripe_gateway import StripeGateway


async def test_active_product_is_not_bought_twice(shop: Shop) -> None:
    """A product that the user subscribes to is refused, at any of its prices, with a portal to change it."""
    session_id = await shop.checkout()
    await shop.pay(session_id)
    await shop.post("checkout/confirm", {"session_id": session_id})
    status, answer = await shop.post("checkout/create", shop.order("pro_yearly"))
    assert (status, answer["code"]) == (409, "already_subscribed")
    assert answer["portal_url"].startswith(shop.standin.url)
    assert (await shop.post("checkout/create", shop.order("pro", user="bob")))[0] == 200
    assert (await shop.post("checkout/create", shop.order("team")))[0] == 200


async def test_paid_session_that_no_event_told_of_is_not_bought_twice(shop: Shop) -> None:
    """A click right after payment, before any event arrived, is refused as already subscribed."""
    await shop.pay(await shop.checkout())
    status, answer = await shop.post("checkout/create", shop.order())
    assert (status, answer["code"]) == (409, "already_subscribed")


@pytest.mark.parametrize(("second", "key"), [("pro_yearly", None), ("pro", "k-2")])
async def test_what_was_paid_and_not_told_is_not_bought_by_another_request(
    shop: Shop, second: str, key: str | None
) -> None:
    """Before any event arrived, neither another price of the product nor another idempotency key opens a checkout."""
    order = shop.order("pro")
    _, first = await shop.post("checkout/create", order, headers={"Idempotency-Key": "k-1"})
    await shop.pay(first["session_id"])
    headers = {} if key is None else {"Idempotency-Key": key}
    for _ in range(2):
        status, answer = await shop.post("checkout/create", shop.order(second), headers=headers)
        assert (status, answer["code"]) == (409, "already_subscribed")
        assert answer["portal_url"].startswith(shop.standin.url)
    assert (await shop.at_stripe("checkout/sessions?status=open"))["data"] == []
    assert (await shop.post("checkout/create", order, headers={"Idempotency-Key": "k-1"}))[1] == first
    assert (await shop.post("checkout/create", shop.order("team")))[0] == 200


async def test_checkout_that_is_paid_while_another_opens(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rival that is paid just before it is expired was bought: the new session is closed instead."""
    expire, monthly = StripeGateway.expire_checkout_session, await shop.checkout()

    async def too_late(gateway: StripeGateway, id: str) -> dict[str, Any]:  # noqa: A002 - Stripe's word
        if id == monthly:
            await shop.pay(id)
        return await expire(gateway, id)

    monkeypatch.setattr(StripeGateway, "expire_checkout_session", too_late)
    status, answer = await shop.post("checkout/create", shop.order("pro_yearly"))
    assert (status, answer["code"]) == (409, "already_subscribed")
    assert (await shop.at_stripe("checkout/sessions?status=open"))["data"] == []


async def test_checkout_whose_events_arrive_while_another_opens(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was bought after the first look, and is applied before rivals are asked for, is seen too."""
    create, monthly = StripeGateway.create_checkout_session, await shop.checkout()

    async def slow(gateway: StripeGateway, params: Any, idempotency_key: str) -> dict[str, Any]:
        made = await create(gateway, params, idempotency_key)
        await shop.pay(monthly)
        assert (await shop.post("checkout/confirm", {"session_id": monthly}))[0] == 200
        return made

    monkeypatch.setattr(StripeGateway, "create_checkout_session", slow)
    status, answer = await shop.post("checkout/create", shop.order("pro_yearly"))
    assert (status, answer["code"]) == (409, "already_subscribed")
    assert (await shop.at_stripe("checkout/sessions?status=open"))["data"] == []


async def test_ended_subscription_may_be_bought_again(shop: Shop) -> None:
    """Once the subscription is cancelled, the same request opens a new session."""
    first = await shop.checkout()
    await shop.pay(first)
    session = await shop.at_stripe(f"checkout/sessions/{first}")
    async with shop.clients[0].session.delete(
        f"{shop.standin.url}/v1/subscriptions/{session['subscription']}",
        headers={"Authorization": "Bearer sk_test_sandbox"},
    ) as response:
        assert response.status == 200
    assert await shop.checkout() != first


async def test_only_the_newest_checkout_of_a_product_stays_open(shop: Shop) -> None:
    """Monthly in one tab and yearly in another cannot both be paid: the older session is expired."""
    monthly, team, once = await shop.checkout(), await shop.checkout("team"), await shop.checkout("once")
    yearly = await shop.checkout("pro_yearly")
    listed = (await shop.at_stripe("checkout/sessions?status=open"))["data"]
    assert {session["id"] for session in listed} == {team, once, yearly}
    again = await shop.checkout()
    assert again not in {monthly, yearly}


async def test_concurrent_checkouts_of_a_product_leave_one_open(shop: Shop) -> None:
    """Monthly and yearly at the same moment leave exactly one session open."""
    shop.standin.outage.begin(OutageMode.SLOW, delay=0.1)  # so that all of them look before any records
    await both(
        *(shop.post("checkout/create", shop.order(name), writer=n) for n, name in enumerate(("pro", "pro_yearly")))
    )
    assert len((await shop.at_stripe("checkout/sessions?status=open"))["data"]) == 1
