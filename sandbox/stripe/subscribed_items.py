"""What a subscription is made of: its items, their periods and amounts."""

from dataclasses import dataclass, field

from sandbox.stripe.amounts import cost, is_metered
from sandbox.stripe.invoice_drafts import Line
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.periods import end_after
from sandbox.stripe.shapes import JsonObject, embedded


@dataclass(frozen=True, slots=True)
class Ordered:
    """A price in a quantity; for a subscription item or a line of a session."""

    price: JsonObject
    quantity: int | None
    """None: metered."""
    metadata: JsonObject = field(default_factory=dict)


def new_item(
    ledger: Ledger, subscription: str, one: Ordered, now: int, trial_end: int | None, anchor: int
) -> JsonObject:
    """A subscription item whose first period begins now."""
    recurring = one.price["recurring"]
    return ledger.store.put(
        {
            "id": ledger.store.new_id("si", 14),
            "object": "subscription_item",
            "billing_thresholds": None,
            "created": now,
            "current_period_end": trial_end or end_after(anchor, recurring, now),
            "current_period_start": now,
            "discounts": [],
            "metadata": dict(one.metadata),
            "price": one.price,
            "subscription": subscription,
            "tax_rates": [],
            **({} if is_metered(one.price) else {"quantity": one.quantity}),
        }
    )


def items_of(ledger: Ledger, subscription: JsonObject) -> list[JsonObject]:
    """All items, also those beyond the ones shown in the subscription itself."""
    items: list[JsonObject] = ledger.store.note("items_of")[subscription["id"]]
    return items


def show_items(ledger: Ledger, subscription: JsonObject) -> None:
    """Copy the items into the subscription, as many as Stripe shows there."""
    items = items_of(ledger, subscription)
    subscription["items"] = embedded(items, subscription["items"]["url"])
    for item in items:
        ledger.store.put(item)


def amount_of(ledger: Ledger, item: JsonObject) -> int:
    """What one period of the item costs."""
    return cost(ledger, item["price"], item.get("quantity"))


def period_line(ledger: Ledger, item: JsonObject, *, free: bool = False) -> Line:
    """What the item's present period costs, as a line; nothing while `free`."""
    start, end = item["current_period_start"], item["current_period_end"]
    amount = 0 if free else amount_of(ledger, item)
    return Line(item["price"], item.get("quantity"), amount, start, end, item["id"], metadata=item["metadata"])


def set_cancel_at_period_end(ledger: Ledger, subscription: JsonObject, *, wanted: bool) -> None:
    """Ask for, or take back, the end at the close of the shortest period."""
    details = subscription["cancellation_details"]
    if wanted:
        end = min(item["current_period_end"] for item in items_of(ledger, subscription))
        subscription |= {"cancel_at_period_end": True, "cancel_at": end, "canceled_at": ledger.clock.now()}
        details["reason"] = "cancellation_requested"
    else:
        subscription |= {"cancel_at_period_end": False, "cancel_at": None, "canceled_at": None}
        subscription["cancellation_details"] = dict.fromkeys(details)
