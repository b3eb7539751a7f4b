"""`expand[]`: references replaced by their objects, and lists shown that are hidden unless asked for."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from sandbox.stripe.errors import invalid
from sandbox.stripe.shapes import JsonObject, copied, embedded
from sandbox.stripe.store import Store
from sandbox.stripe.versions import links_of, rendered

REFERENCES: Final = {
    "charge": "charge",
    "configuration": "billing_portal.configuration",
    "coupon": "coupon",
    "customer": "customer",
    "default_payment_method": "payment_method",
    "default_price": "price",
    "discounts": "discount",
    "entitlement_feature": "entitlements.feature",
    "invoice": "invoice",
    "latest_charge": "charge",
    "latest_invoice": "invoice",
    "payment_intent": "payment_intent",
    "payment_method": "payment_method",
    "price": "price",
    "product": "product",
    "promotion_code": "promotion_code",
    "subscription": "subscription",
    "test_clock": "test_helpers.test_clock",
}


def _line_items(store: Store, item: JsonObject) -> JsonObject:
    return embedded(store.note("session_lines")[item["id"]], f"/v1/checkout/sessions/{item['id']}/line_items")


def _payments(store: Store, item: JsonObject) -> JsonObject:
    found = [store.get("invoice_payment", name) for name in store.note("payments_of").get(item["id"], [])]
    return embedded(found, "/v1/invoice_payments")


def _refunds(store: Store, item: JsonObject) -> JsonObject:
    found = store.where("refund", charge=item["id"])
    return embedded(found[::-1], f"/v1/charges/{item['id']}/refunds")


def _subscriptions(store: Store, item: JsonObject) -> JsonObject:
    found = [one for one in store.where("subscription", customer=item["id"]) if one["status"] != "canceled"]
    return embedded(found[::-1], f"/v1/customers/{item['id']}/subscriptions")


def _tiers(store: Store, item: JsonObject) -> Any:
    return store.note("tiers").get(item["id"])


HIDDEN: Final[dict[tuple[str, str], Callable[[Store, JsonObject], JsonObject]]] = {
    ("checkout.session", "line_items"): _line_items,
    ("invoice", "payments"): _payments,
    ("charge", "refunds"): _refunds,
    ("customer", "subscriptions"): _subscriptions,
    ("price", "tiers"): _tiers,
}


def presented(store: Store, item: JsonObject, paths: Iterable[str], version: str) -> JsonObject:
    """`item` as the answer to a request of `version` that asked to expand `paths`.

    Raises:
        StripeError: 400 when a path names nothing that can be expanded.
    """
    tree = copied(item)
    later = [path for path in paths if not _expand(store, tree, path.split("."))]
    shown: JsonObject = rendered(tree, version, lambda part: links_of(store, part).get(part["id"], {}))
    for path in later:
        # Old shapes have references of their own, such as `latest_invoice.payment_intent`.
        if not _expand(store, shown, path.split(".")):
            raise invalid(f"This property cannot be expanded ({path}).", param="expand")
    return shown


def _expand(store: Store, node: Any, path: list[str]) -> bool:
    if not path or node is None:
        return True
    if isinstance(node, list):
        done = [_expand(store, entry, path) for entry in node]
        return all(done)
    name, *rest = path
    if not isinstance(node, dict):
        return False
    hidden = HIDDEN.get((node.get("object", ""), name))
    if name not in node and hidden is None:
        return False
    if hidden is not None and name not in node:
        node[name] = copied(hidden(store, node))
    node[name] = _resolved(store, name, node[name])
    if not rest and isinstance(node[name], str):
        return False
    return _expand(store, node[name], rest)


def _resolved(store: Store, name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_resolved(store, name, entry) for entry in value]
    if not isinstance(value, str) or name not in REFERENCES:
        return value
    kind = REFERENCES[name]
    gone: JsonObject | None = store.note("deleted").get(value)
    found = store.find(kind, value) or gone
    return copied(found) if found else value
