"""Webhooks: signed, retried, duplicated, dropped, reordered, held, in old and new shapes."""

import pytest

from sandbox.stripe.delivery import signature
from sandbox.stripe.faults import Fault, Rule
from tests.support.stripe_standin import DAY, Shop, receiving


async def test_a_purchase_sends_its_events_in_stripes_order(shop: Shop) -> None:
    """A card purchase announces customer, invoice, payment, subscription and at last the session."""
    await shop.bought(await shop.price())
    assert (await shop.settled())[2:] == [
        "customer.created",
        "payment_method.attached",
        "invoice.created",
        "invoice.finalized",
        "payment_intent.created",
        "customer.subscription.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
        "checkout.session.completed",
    ]
    assert shop.receiver.refused == 0


async def test_a_refused_webhook_is_sent_again_until_it_is_taken(shop: Shop) -> None:
    """Every status but 2xx is a failure; the event stays pending until one try succeeds."""
    shop.receiver.answers = [500, 404, 302]
    await shop.client.v1.products.create_async({"name": "Pro"})
    await shop.settled()
    assert shop.receiver.types == ["product.created"]
    assert [one.status for one in shop.standin.deliveries.attempts] == [500, 404, 302, 200]
    event = (await shop.client.v1.events.list_async()).data[0]
    assert event.pending_webhooks == 0


async def test_a_webhook_nobody_takes_is_given_up_but_stays_listed(shop: Shop) -> None:
    """After about three days of Stripe's waits the event is only in the list, and can be sent again."""
    shop.receiver.answers = [500] * 12
    await shop.client.v1.products.create_async({"name": "Pro"})
    assert await shop.settled() == []
    event = (await shop.client.v1.events.list_async()).data[0]
    assert event.pending_webhooks == 1
    shop.standin.deliveries.resend(event.id)
    assert await shop.settled() == ["product.created"]


async def test_several_endpoints_have_their_own_secret_choice_and_version(shop: Shop) -> None:
    """A second endpoint gets only what it chose, signed with its secret, in its version."""
    async with receiving() as other:
        other.secret = "whsec_other"
        await shop.control(
            "endpoints",
            url=other.url,
            secret="whsec_other",
            api_version="2024-06-20",
            enabled_events=["customer.subscription.*"],
        )
        await shop.bought(await shop.price())
        await shop.settled()
        assert other.types == ["customer.subscription.created", "customer.subscription.updated"]
        assert {event["api_version"] for event in other.events} == {"2024-06-20"}
        assert other.refused == 0
    assert shop.receiver.events[0]["api_version"] == "2026-10-28.endive"


async def test_while_a_secret_is_rolled_both_sign(shop: Shop) -> None:
    """With two secrets a receiver that knows either accepts."""
    endpoint = shop.standin.store.where("webhook_endpoint")[0]
    await shop.control(f"endpoints/{endpoint['id']}", secrets=["whsec_new", "whsec_test"])
    await shop.client.v1.products.create_async({"name": "Pro"})
    assert await shop.settled() == ["product.created"]


def test_the_header_is_stripes_v1_scheme() -> None:
    """HMAC-SHA256 over `timestamp.payload`, checked against a value computed apart."""
    digest = "7aaed73a0f45f657eacd5c9b580562745d6023b1e3e6d17dce076b81940aa046"
    assert signature(b"{}", ["whsec_a"], 1) == f"t=1,v1={digest}"


async def test_faults_strike_by_type_and_count(shop: Shop) -> None:
    """A dropped event never comes, a duplicated one comes twice, and the next of each is whole again."""
    shop.standin.faults.add(Rule(Fault.DROP, ("product.created",), remaining=1))
    shop.standin.faults.add(Rule(Fault.DUPLICATE, ("price.created",), remaining=1))
    await shop.price()
    assert sorted(await shop.settled()) == ["price.created", "price.created"]
    assert len({event["id"] for event in shop.receiver.events}) == 1
    shop.receiver.events.clear()
    await shop.price()
    assert sorted(await shop.settled()) == ["price.created", "product.created"]


async def test_chances_repeat_with_their_seed(shop: Shop) -> None:
    """The same seed drops the same events."""
    seen: list[list[str]] = []
    for _ in range(2):
        shop.standin.faults.clear()
        await shop.control("faults", fault="drop", probability=0.5, seed=7)
        shop.receiver.events.clear()
        for number in range(20):
            await shop.client.v1.products.create_async({"name": str(number)})
        await shop.settled()
        seen.append(sorted(event["data"]["object"]["name"] for event in shop.receiver.events))
    assert seen[0] == seen[1]
    assert 0 < len(seen[0]) < 20


async def test_reordering_sends_a_window_in_another_order(shop: Shop) -> None:
    """All events of the window arrive once each, and not in the order in which they happened."""
    shop.standin.faults.add(Rule(Fault.REORDER, window=10, seconds=60))
    for number in range(10):
        await shop.client.v1.products.create_async({"name": str(number)})
    await shop.settled()
    names = [event["data"]["object"]["name"] for event in shop.receiver.events]
    assert names != sorted(names)
    assert sorted(names) == [str(number) for number in range(10)]


async def test_a_delayed_event_is_overtaken(shop: Shop) -> None:
    """DELAY holds back the one, not those behind it."""
    shop.standin.faults.add(Rule(Fault.DELAY, ("product.created",), seconds=0.2))
    await shop.price()
    assert await shop.settled() == ["price.created", "product.created"]


async def test_a_spoiled_signature_is_refused_and_the_retry_taken(shop: Shop) -> None:
    """BAD_SIGNATURE spoils the first try only."""
    shop.standin.faults.add(Rule(Fault.BAD_SIGNATURE, remaining=1))
    await shop.client.v1.products.create_async({"name": "Pro"})
    assert await shop.settled() == ["product.created"]
    assert shop.receiver.refused == 1


async def test_held_events_are_delivered_in_the_order_a_test_names(shop: Shop) -> None:
    """Named ones go out one after the other, also twice; the rest stays held until all are released."""
    await shop.control("hold")
    for name in "abc":
        await shop.client.v1.products.create_async({"name": name})
    held = [job.event for job in shop.standin.deliveries.held]
    answer = await shop.control("release", order=[held[2], held[0], held[2]], keep_holding=True)
    assert answer["held"] == [held[1]]
    assert [event["id"] for event in shop.receiver.events] == [held[2], held[0], held[2]]
    await shop.control("release")
    assert len(await shop.settled()) == 4


async def test_a_fetch_before_the_webhook_sees_the_newer_object(shop: Shop) -> None:
    """A held event keeps the snapshot of its moment."""
    shop.standin.faults.holding = True
    product = await shop.client.v1.products.create_async({"name": "old"})
    await shop.client.v1.products.update_async(product.id, {"name": "new"})
    await shop.control("release")
    await shop.settled()
    names = [event["data"]["object"]["name"] for event in shop.receiver.events]
    assert names == ["old", "new"]
    assert shop.receiver.events[1]["data"]["previous_attributes"]["name"] == "old"


async def test_injected_events_may_be_of_another_account_or_mode(shop: Shop) -> None:
    """A Connect event, a live one and an unknown type can be sent."""
    await shop.control(
        "events", type="some.future_thing", object={"id": "x_1"}, event={"livemode": True, "account": "acct_2"}
    )
    await shop.settled()
    event = shop.receiver.events[0]
    assert (event["type"], event["livemode"], event["account"]) == ("some.future_thing", True, "acct_2")


async def test_thin_events_only_name_their_object(shop: Shop) -> None:
    """A thin endpoint gets `v2.core.event` with a `related_object` to fetch."""
    endpoint = shop.standin.store.where("webhook_endpoint")[0]
    await shop.control(f"endpoints/{endpoint['id']}", thin=True)
    product = await shop.client.v1.products.create_async({"name": "Pro"})
    await shop.settled()
    event = shop.receiver.events[0]
    assert (event["object"], event["type"]) == ("v2.core.event", "v1.product.created")
    assert event["related_object"] == {"id": product.id, "type": "product", "url": f"/v1/products/{product.id}"}
    assert not shop.standin.store.find("event", event["id"])  # its id is its own


@pytest.mark.parametrize("version", ["2022-08-01", "2022-11-15", "2024-06-20", "2025-03-31.basil"])
async def test_old_versions_have_old_shapes(shop: Shop, version: str) -> None:
    """Periods, an invoice's subscription and charge, a charge's invoice and the charges list lie where they lay."""
    endpoint = shop.standin.store.where("webhook_endpoint")[0]
    await shop.control(f"endpoints/{endpoint['id']}", api_version=version)
    await shop.bought(await shop.price())
    await shop.settled()
    receiver, old = shop.receiver, version < "2025-03-31"
    subscription, invoice = receiver.last("customer.subscription.updated"), receiver.last("invoice.paid")
    item = subscription["items"]["data"][0]
    assert ("current_period_end" in subscription, "current_period_end" in item) == (old, not old)
    assert ("plan" in item, "billing_mode" in subscription) == (old, not old)
    assert ("parent" in invoice, "subscription" in invoice) == (not old, old)
    charge, intent = receiver.last("charge.succeeded"), receiver.last("payment_intent.succeeded")
    assert ("invoice" in charge) is old
    assert ("charges" in intent) is (version < "2022-11-15")
    if old:
        assert invoice["subscription"] == subscription["id"]
        assert (invoice["paid"], invoice["payment_intent"], invoice["charge"]) == (True, intent["id"], charge["id"])
        assert (charge["invoice"], intent["invoice"]) == (invoice["id"], invoice["id"])
        line = invoice["lines"]["data"][0]
        assert (line["type"], line["price"]["object"]) == ("subscription", "price")


async def test_a_change_in_an_old_shape_names_old_fields(shop: Shop) -> None:
    """`previous_attributes` of a renewal speak of `current_period_end`, not of items' periods."""
    endpoint = shop.standin.store.where("webhook_endpoint")[0]
    await shop.control(f"endpoints/{endpoint['id']}", api_version="2024-06-20")
    await shop.bought(await shop.price())
    shop.standin.advance(32 * DAY)
    await shop.settled()
    renewal = [e for e in shop.receiver.events if e["type"] == "customer.subscription.updated"][-1]
    assert "current_period_end" in renewal["data"]["previous_attributes"]
