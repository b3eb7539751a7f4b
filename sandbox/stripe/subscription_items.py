"""Subscription items by themselves: list all of a long subscription, add, change, remove."""

from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import page
from sandbox.stripe.params import Params
from sandbox.stripe.proration import BEHAVIOURS, apply_items
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject
from sandbox.stripe.subscribed_items import items_of

OWN = ("subscription", "proration_behavior", "payment_behavior", "proration_date")


def _apply(ledger: Ledger, subscription_id: str, params: Params, change: JsonObject) -> JsonObject:
    subscription = ledger.store.get("subscription", subscription_id, "subscription")
    behaviour = params.choice("proration_behavior", BEHAVIOURS, "create_prorations") or "create_prorations"
    values = {name: value for name, value in params.values.items() if name not in OWN}
    with ledger.on_clock_of(subscription["customer"]):
        apply_items(ledger, subscription, [Params(values | change)], behaviour)
    return subscription


def _create(ledger: Ledger, call: Call) -> JsonObject:
    subscription = _apply(ledger, call.params.need("subscription"), call.params, {})
    return items_of(ledger, subscription)[-1]


def _update(ledger: Ledger, call: Call) -> JsonObject:
    item = ledger.store.get("subscription_item", call.id)
    _apply(ledger, item["subscription"], call.params, {"id": call.id})
    return ledger.store.get("subscription_item", call.id)


def _delete(ledger: Ledger, call: Call) -> JsonObject:
    item = ledger.store.get("subscription_item", call.id)
    _apply(ledger, item["subscription"], call.params, {"id": call.id, "deleted": "true"})
    return {"id": call.id, "object": "subscription_item", "deleted": True}


def _retrieve(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("subscription_item", call.id)


def _list(ledger: Ledger, call: Call) -> JsonObject:
    subscription = ledger.store.get("subscription", call.params.need("subscription"), "subscription")
    return page(items_of(ledger, subscription), call.params, call.path, newest_first=False)


ROUTES: Routes = (
    ("POST", "/v1/subscription_items", _create),
    ("GET", "/v1/subscription_items", _list),
    ("GET", "/v1/subscription_items/{id}", _retrieve),
    ("POST", "/v1/subscription_items/{id}", _update),
    ("DELETE", "/v1/subscription_items/{id}", _delete),
)
