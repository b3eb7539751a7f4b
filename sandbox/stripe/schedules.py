"""Subscription schedules: phases that begin one after the other, each as a change of the subscription."""

from typing import Any, Final

from sandbox.stripe.amounts import is_metered
from sandbox.stripe.errors import invalid, required
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import matching, page
from sandbox.stripe.params import Params
from sandbox.stripe.periods import end_after
from sandbox.stripe.proration import apply_items
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject, copied
from sandbox.stripe.subscribed_items import items_of
from sandbox.stripe.subscription_state import ENDED, cancel_now

_ENDS: Final = ("cancel", "none", "release", "renew")
_OPEN: Final = ("active", "not_started")
_DEFAULTS: Final[JsonObject] = {
    "application_fee_percent": None,
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
    "billing_cycle_anchor": "automatic",
    "billing_thresholds": None,
    "collection_method": "charge_automatically",
    "default_payment_method": None,
    "description": None,
    "invoice_settings": {"account_tax_ids": None, "days_until_due": None, "issuer": {"type": "self"}},
    "on_behalf_of": None,
    "transfer_data": None,
}


def due(_: Ledger, schedule: JsonObject) -> int | None:
    """When its running phase ends."""
    return int(schedule["current_phase"]["end_date"]) if schedule["status"] == "active" else None


def run(ledger: Ledger, schedule: JsonObject) -> None:
    """The running phase is over: the next one begins, or it ends as its `end_behavior` says."""
    subscription = ledger.store.get("subscription", schedule["subscription"])
    over = schedule["current_phase"]["end_date"]
    following = next((phase for phase in schedule["phases"] if phase["start_date"] == over), None)
    if subscription["status"] in ENDED:
        _close(ledger, schedule, "canceled", "canceled_at", "subscription_schedule.aborted")
    elif following is not None:
        with ledger.changing(schedule, "subscription_schedule.updated"):
            schedule["current_phase"] = {name: following[name] for name in ("end_date", "start_date")}
        _begin(ledger, subscription, following)
    elif schedule["end_behavior"] == "cancel":
        _close(ledger, schedule, "completed", "completed_at", "subscription_schedule.completed")
        _detach(ledger, subscription)
        cancel_now(ledger, subscription, reason="cancellation_requested")
    else:
        _let_go(ledger, schedule)


def _begin(ledger: Ledger, subscription: JsonObject, phase: JsonObject) -> None:
    """Give the subscription the phase's items: those whose price stays keep their id, as at Stripe."""
    held = {item["price"]["id"]: item["id"] for item in items_of(ledger, subscription)}
    kept = {item["price"] for item in phase["items"]}
    changes: list[JsonObject] = []
    for item in phase["items"]:
        quantity = {"quantity": str(item["quantity"])} if "quantity" in item else {}
        named = {"id": held[item["price"]]} if item["price"] in held else {"price": item["price"]}
        changes.append(named | quantity)
    changes += [{"id": name, "deleted": "true"} for price, name in held.items() if price not in kept]
    apply_items(ledger, subscription, [Params(one, f"items[{n}]") for n, one in enumerate(changes)], "none")
    if phase["metadata"]:
        with ledger.changing(subscription, "customer.subscription.updated"):
            subscription["metadata"] |= phase["metadata"]


def _create(ledger: Ledger, call: Call) -> JsonObject:
    name = call.params.text("from_subscription")
    if name is None:
        raise invalid("The sandbox makes schedules of running subscriptions only.", "from_subscription")
    subscription = ledger.store.get("subscription", name, "from_subscription")
    if subscription["schedule"] is not None:
        raise invalid("You cannot migrate a subscription that is already attached to a schedule.", "from_subscription")
    with ledger.on_clock_of(subscription["customer"]):
        return _of_subscription(ledger, subscription)


def _of_subscription(ledger: Ledger, subscription: JsonObject) -> JsonObject:
    items = items_of(ledger, subscription)
    start = min(item["current_period_start"] for item in items)
    end = max(item["current_period_end"] for item in items)
    lines = [_item(item["price"], item.get("quantity"), item["metadata"]) for item in items]
    schedule = ledger.new(
        "subscription_schedule",
        "sub_sched",
        application=None,
        billing_mode=subscription["billing_mode"],
        canceled_at=None,
        completed_at=None,
        current_phase={"end_date": end, "start_date": start},
        customer=subscription["customer"],
        default_settings=copied(_DEFAULTS),
        end_behavior="release",
        metadata={},
        phases=[_phase(subscription, lines, start, end)],
        released_at=None,
        released_subscription=None,
        status="active",
        subscription=subscription["id"],
        test_clock=subscription["test_clock"],
    )
    ledger.emit("subscription_schedule.created", schedule)
    with ledger.changing(subscription, "customer.subscription.updated"):
        subscription["schedule"] = schedule["id"]
    return schedule


def _item(price: JsonObject, quantity: int | None, metadata: JsonObject) -> JsonObject:
    item: dict[str, Any] = {"billing_thresholds": None, "discounts": [], "metadata": dict(metadata)}
    counted = {} if is_metered(price) or quantity is None else {"quantity": quantity}
    return item | {"price": price["id"], "tax_rates": []} | counted


def _phase(subscription: JsonObject, items: list[JsonObject], start: int, end: int, **more: Any) -> JsonObject:
    unset = ("application_fee_percent", "billing_cycle_anchor", "billing_thresholds", "collection_method",
             "default_payment_method", "description", "invoice_settings", "on_behalf_of", "transfer_data",
             "trial_end")  # fmt: skip
    return {
        **dict.fromkeys(unset),
        "add_invoice_items": [],
        "currency": subscription["currency"],
        "default_tax_rates": [],
        "discounts": [],
        "end_date": end,
        "items": items,
        "metadata": {},
        "proration_behavior": "create_prorations",
        "start_date": start,
        **more,
    }


def _update(ledger: Ledger, call: Call) -> JsonObject:
    schedule, params = _opened(ledger, call), call.params
    subscription = ledger.store.get("subscription", schedule["subscription"])
    with ledger.on_clock_of(schedule["customer"]), ledger.changing(schedule, "subscription_schedule.updated"):
        schedule["metadata"] = params.metadata(schedule["metadata"])
        schedule["end_behavior"] = params.choice("end_behavior", _ENDS, schedule["end_behavior"])
        phases = list(params.hashes("phases"))
        if phases:
            schedule["phases"] = _phases(ledger, schedule, subscription, phases)
            now = ledger.clock.now()
            running = next(one for one in schedule["phases"] if one["start_date"] <= now < one["end_date"])
            schedule["current_phase"] = {name: running[name] for name in ("end_date", "start_date")}
    return schedule


def _phases(ledger: Ledger, schedule: JsonObject, subscription: JsonObject, wanted: list[Params]) -> list[JsonObject]:
    phases: list[JsonObject] = []
    start = schedule["current_phase"]["start_date"]
    for params in wanted:
        items = []
        for entry in params.hashes("items"):
            price = ledger.store.get("price", entry.need("price"), entry.named("price"))
            items.append(_item(price, entry.integer("quantity", 1, minimum=0), entry.metadata()))
        if not items:
            raise required(params.named("items"))
        price = ledger.store.get("price", items[0]["price"])
        end = params.integer("end_date") or end_after(start, price["recurring"], start)
        phases.append(_phase(subscription, items, start, end, metadata=params.metadata()))
        start = end
    return phases


def _release(ledger: Ledger, call: Call) -> JsonObject:
    schedule = _opened(ledger, call)
    with ledger.on_clock_of(schedule["customer"]):
        _let_go(ledger, schedule)
    return schedule


def _cancel(ledger: Ledger, call: Call) -> JsonObject:
    schedule = _opened(ledger, call)
    with ledger.on_clock_of(schedule["customer"]):
        subscription = ledger.store.get("subscription", schedule["subscription"])
        _close(ledger, schedule, "canceled", "canceled_at", "subscription_schedule.canceled")
        _detach(ledger, subscription)
        cancel_now(ledger, subscription, reason="cancellation_requested")
    return schedule


def _let_go(ledger: Ledger, schedule: JsonObject) -> None:
    subscription = ledger.store.get("subscription", schedule["subscription"])
    schedule |= {"released_subscription": subscription["id"], "subscription": None}
    _close(ledger, schedule, "released", "released_at", "subscription_schedule.released")
    _detach(ledger, subscription)


def _detach(ledger: Ledger, subscription: JsonObject) -> None:
    with ledger.changing(subscription, "customer.subscription.updated"):
        subscription["schedule"] = None


def _close(ledger: Ledger, schedule: JsonObject, status: str, moment: str, event_type: str) -> None:
    schedule |= {"status": status, moment: ledger.clock.now(), "current_phase": None}
    ledger.store.put(schedule)
    ledger.emit(event_type, schedule)


def _opened(ledger: Ledger, call: Call) -> JsonObject:
    schedule = ledger.store.get("subscription_schedule", call.id)
    if schedule["status"] not in _OPEN:
        raise invalid(f"This subscription schedule is {schedule['status']} and can no longer be changed.")
    return schedule


def _retrieve(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("subscription_schedule", call.id)


def _list(ledger: Ledger, call: Call) -> JsonObject:
    return page(matching(ledger.store.all("subscription_schedule"), call.params, "customer"), call.params, call.path)


ROUTES: Routes = (
    ("POST", "/v1/subscription_schedules", _create),
    ("GET", "/v1/subscription_schedules", _list),
    ("GET", "/v1/subscription_schedules/{id}", _retrieve),
    ("POST", "/v1/subscription_schedules/{id}", _update),
    ("POST", "/v1/subscription_schedules/{id}/cancel", _cancel),
    ("POST", "/v1/subscription_schedules/{id}/release", _release),
)
