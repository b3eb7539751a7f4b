"""What the stand-in sends fits what Stripe's OpenAPI description says of each object."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.stripe_standin import DAY, Shop

FACTS = json.loads((Path(__file__).parent / "openapi_facts.json").read_text())
OBJECTS: dict[str, Any] = FACTS["objects"]
PLAIN: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "array": (list,),
}


def faults(schema: str, value: dict[str, Any], path: str) -> Iterator[str]:
    """Every way in which `value` is not a `schema`."""
    facts = OBJECTS[schema]
    fields = facts["fields"]
    yield from (f"{path}.{name}: required by {schema}" for name in facts["required"] if name not in value)
    for name, child in value.items():
        if name in fields:
            yield from misfits(fields[name], child, f"{path}.{name}")
        else:
            yield f"{path}.{name}: unknown to {schema}"


def misfits(fact: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    """Every way in which a field's value breaks its fact."""
    types = fact["types"]
    described = [name[4:] for name in types if name.startswith("ref:")]
    if value is None:
        if not fact.get("nullable"):
            yield f"{path}: null is not allowed"
    elif isinstance(value, dict) and "list" in types:
        yield from _entries(fact, value["data"], path)
    elif isinstance(value, list) and "array" in types:
        yield from _entries(fact, value, path)
    elif isinstance(value, dict) and described:
        wanted = value.get("object", described[0]) if len(described) > 1 else described[0]
        if wanted in OBJECTS:
            yield from faults(wanted, value, path)
    elif not any(_is(value, name) for name in types):
        yield f"{path}: {value!r} is none of {types}"
    elif value not in fact.get("enum", [value]):
        yield f"{path}: {value!r} is not in the enum"


def _entries(fact: dict[str, Any], values: list[Any], path: str) -> Iterator[str]:
    for index, entry in enumerate(values):
        yield from misfits(fact["items"], entry, f"{path}[{index}]")


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, PLAIN.get(name, ()))


async def live(shop: Shop) -> None:
    """Purchase, renewal, change, failure, cancellation, refund, dispute, portal: one of everything."""
    v1 = shop.client.v1
    monthly, dearer, once = await shop.price(), await shop.price(3000), await shop.price(500, None)
    feature = await v1.entitlements.features.create_async({"name": "Exports", "lookup_key": "exports"})
    await v1.products.features.create_async(monthly.product, {"entitlement_feature": feature.id})
    subscription = await shop.subscribed(monthly, once, subscription_data={"metadata": {"user_id": "u1"}})
    customer = subscription.customer
    shop.standin.advance(32 * DAY)
    items: Any = {"items": [{"id": subscription["items"].data[0].id, "price": dearer.id}]}
    await v1.subscriptions.update_async(subscription.id, items | {"proration_behavior": "always_invoice"})
    await shop.control(f"payment_method/{customer}", outcome="fail")
    shop.standin.advance(33 * DAY)
    await shop.control(f"payment_method/{customer}", outcome="succeed")
    shop.standin.advance(4 * DAY)
    await v1.billing_portal.sessions.create_async({"customer": customer})
    await v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    shop.standin.advance(40 * DAY)
    await shop.subscribed(monthly, customer=customer, subscription_data={"trial_period_days": 7})
    shop.standin.advance(5 * DAY)
    payment = await shop.bought(once, mode="payment")
    first = await v1.refunds.create_async({"payment_intent": payment.payment_intent, "amount": 200})
    await v1.refunds.create_async({"payment_intent": payment.payment_intent})
    await shop.control(f"refunds/{first.id}", status="failed")
    other = await shop.bought(once, mode="payment", customer=customer)
    dispute = await shop.control("disputes", payment_intent=other.payment_intent)
    await shop.control(f"disputes/{dispute['id']}", status="lost")
    late = await shop.session(once, mode="payment", payment_method_types=["sepa_debit"])
    await shop.control(f"pay/{late.id}", outcome="pay_async")
    await shop.control(f"pay/{late.id}", outcome="async_fail")
    await shop.control(f"pay/{(await shop.session(once, mode='payment')).id}", outcome="fail")
    await shop.control(f"pay/{(await shop.session(once, mode='payment')).id}", outcome="expire")
    await change_later(shop, monthly, dearer)
    coupon = await v1.coupons.create_async({"percent_off": 100, "duration": "once"})
    await shop.bought(monthly, discounts=[{"coupon": coupon.id}])
    await v1.promotion_codes.create_async({"promotion": {"type": "coupon", "coupon": coupon.id}})
    await v1.customers.delete_async(customer)


async def change_later(shop: Shop, price: Any, dearer: Any) -> None:
    """A schedule, a change that lapses unpaid, an invoice that is overdue, metered and tiered prices."""
    v1 = shop.client.v1
    planned = await shop.subscribed(price)
    made = await v1.subscription_schedules.create_async({"from_subscription": planned.id})
    first = {"start_date": made.phases[0].start_date, "end_date": made.phases[0].end_date}
    phases: Any = [{"items": [{"price": price.id}], **first}, {"items": [{"price": dearer.id}]}]
    await v1.subscription_schedules.update_async(made.id, {"phases": phases})
    await shop.control(f"payment_method/{planned.customer}", outcome="fail")
    behaviour = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}
    change: Any = {"items": [{"id": planned["items"].data[0].id, "price": dearer.id}], **behaviour}
    await v1.subscriptions.update_async(planned.id, change)
    by_use = await shop.price(
        None,
        None,
        billing_scheme="tiered",
        tiers_mode="graduated",
        tiers=[{"up_to": "inf", "unit_amount": 3}],
        recurring={"interval": "month", "usage_type": "metered", "meter": "mtr_1"},
    )
    sent: Any = {
        "customer": planned.customer,
        "items": [{"price": by_use.id}],
        "billing_mode": {"type": "classic"},
        "collection_method": "send_invoice",
        "days_until_due": 3,
        "add_invoice_items": [],
    }
    sent["items"].append({"price": price.id})
    await v1.subscriptions.create_async(sent)
    shop.standin.advance(DAY)
    await shop.control(f"payment_method/{planned.customer}", outcome="succeed")
    shop.standin.advance(70 * DAY)


async def test_every_event_of_a_life_fits_the_description(shop: Shop) -> None:
    """Names are known, required ones are there, types and enums are right, in every event of a whole life."""
    await live(shop)
    await shop.settled()
    found: set[str] = set()
    for event in shop.receiver.events:
        found |= set(faults("event", event, event["type"]))
        item = event["data"]["object"]
        found |= set(faults(item["object"], item, item["object"]))
    assert sorted(found) == []
    types = set(shop.receiver.types)
    assert types <= set(FACTS["event_types"])
    assert {
        "charge.dispute.closed",
        "charge.refunded",
        "checkout.session.async_payment_failed",
        "checkout.session.completed",
        "checkout.session.expired",
        "customer.deleted",
        "customer.subscription.created",
        "customer.subscription.deleted",
        "customer.subscription.pending_update_expired",
        "customer.subscription.trial_will_end",
        "customer.subscription.updated",
        "invoice.finalized",
        "invoice.overdue",
        "invoice.paid",
        "invoice.payment_failed",
        "invoice.payment_succeeded",
        "payment_intent.payment_failed",
        "refund.created",
        "refund.failed",
        "subscription_schedule.released",
        "subscription_schedule.updated",
    } <= types


async def test_what_is_listed_fits_the_description(shop: Shop) -> None:
    """Objects that no event carries, and lists hidden unless expanded, fit too."""
    await live(shop)
    found: set[str] = set()
    for table in shop.standin.store.tables.values():
        for item in table.values():
            if item["object"] in OBJECTS:
                found |= set(faults(item["object"], item, item["object"]))
    sessions = await shop.client.v1.checkout.sessions.list_async({"expand": ["data.line_items"]})
    for session in sessions.data:
        shown = json.loads(str(session))
        found |= set(faults("checkout.session", shown, "expanded"))
    assert sorted(found) == []


def test_a_wrong_shape_is_noticed() -> None:
    """An unknown name, a missing one, a wrong type and a wrong enum are each reported."""
    refund = {"id": 1, "object": "refund", "charges": None, "reason": "boredom"}
    found = "\n".join(faults("refund", refund, "refund"))
    assert "refund.charges: unknown" in found
    assert "refund.amount: required" in found
    assert "refund.id: 1 is none of" in found
    assert "refund.reason: 'boredom' is not in the enum" in found
