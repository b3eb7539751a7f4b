"""API versions: today's objects in the shapes that older versions had. The one place that knows old shapes.

A version is compared by its date. Old shapes name what today's do not hold (an invoice's charge, a charge's
invoice); those are given as `links`, by object id, taken when the event happened.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox.stripe.shapes import JsonObject
from sandbox.stripe.store import Store

Links = Callable[[JsonObject], JsonObject]

CLOVER: Final = "2025-09-30"
BASIL: Final = "2025-03-31"
MARKETING_FEATURES: Final = "2024-04-10"
NO_CHARGES_LIST: Final = "2022-11-15"


def rendered(value: Any, version: str, links: Links) -> Any:
    """`value` as an endpoint or a request of `version` sees it; a new tree, nothing of `value` is changed."""
    if isinstance(value, list):
        return [rendered(entry, version, links) for entry in value]
    if not isinstance(value, dict):
        return value
    extra = links(value) if "object" in value and "id" in value else {}
    tree = {name: rendered(child, version, links) for name, child in value.items()}
    for before, kinds in STEPS:
        step = kinds.get(value.get("object", ""))
        if step is not None and version[:10] < before:
            step(tree, rendered(extra, version, links))
    return tree


def difference(before: JsonObject, after: JsonObject) -> JsonObject:
    """`previous_attributes`: the old values of what changed, hash by hash; what is new was null."""
    changed: JsonObject = {}
    for name in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        nested = isinstance(old, dict) and isinstance(new, dict) and old.get("object") != "list"
        changed[name] = difference(old, new) if nested and old and new else old
    return changed


def rendered_event(event: JsonObject, version: str, links: Mapping[str, Any], before: JsonObject | None) -> JsonObject:
    """An event as an endpoint of `version` gets it."""

    def linked(item: JsonObject) -> JsonObject:
        found: JsonObject = links.get(item["id"], {})
        return found

    data: JsonObject = {"object": rendered(event["data"]["object"], version, linked)}
    if before is not None:
        data["previous_attributes"] = difference(rendered(before, version, linked), data["object"])
    return event | {"api_version": version, "data": data}


def links_of(store: Store, item: JsonObject) -> dict[str, JsonObject]:
    """What older shapes of `item` name, by object id."""
    kind, object_id = item["object"], item["id"]
    if kind == "invoice":
        return {object_id: _payment_of(store, object_id)} | {
            line["id"]: {"price": _price_of(store, line)} for line in item["lines"]["data"]
        }
    if kind == "line_item":
        return {object_id: {"price": _price_of(store, item)}}
    if kind == "charge":
        return {object_id: {"invoice": store.note("invoice_of").get(item["payment_intent"])}}
    if kind == "payment_intent":
        invoice = store.note("invoice_of").get(object_id)
        charges = [store.find("charge", charge) for charge in store.note("charges_of").get(object_id, [])]
        return {object_id: {"invoice": invoice, "charges": charges}} | {
            charge["id"]: {"invoice": invoice} for charge in charges if charge
        }
    return {}


def _payment_of(store: Store, invoice_id: str) -> JsonObject:
    payments = store.note("payments_of").get(invoice_id, [])
    payment = store.find("invoice_payment", payments[-1]) if payments else None
    intent = store.find("payment_intent", payment["payment"]["payment_intent"]) if payment else None
    return {"payment_intent": intent and intent["id"], "charge": intent and intent["latest_charge"]}


def _price_of(store: Store, line: JsonObject) -> JsonObject | None:
    return store.find("price", line["pricing"]["price_details"]["price"]) if line["pricing"] else None


def _old_subscription(item: JsonObject, _: JsonObject) -> None:
    entries = item["items"]["data"]
    item["current_period_start"] = max((entry.pop("current_period_start") for entry in entries), default=None)
    item["current_period_end"] = min((entry.pop("current_period_end") for entry in entries), default=None)
    item["discount"] = None
    item["plan"] = entries[0]["plan"] if len(entries) == 1 else None
    item["quantity"] = entries[0].get("quantity") if len(entries) == 1 else None
    item.pop("billing_mode", None)
    item.pop("billing_schedules", None)


def _old_subscription_item(item: JsonObject, _: JsonObject) -> None:
    item["plan"] = _plan(item["price"])
    item["billing_thresholds"] = None


def _plan(price: JsonObject | None) -> JsonObject | None:
    if price is None or price["recurring"] is None:
        return None
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "metadata": price["metadata"],
        "product": price["product"],
    }


def _old_invoice(item: JsonObject, links: JsonObject) -> None:
    details = (item.pop("parent", None) or {}).get("subscription_details")
    item.pop("payments", None)
    item["subscription"] = details and details["subscription"]
    item["subscription_details"] = {"metadata": details["metadata"] if details else None}
    item["payment_intent"] = links.get("payment_intent")
    item["charge"] = links.get("charge")
    item["paid"] = item["status"] == "paid"
    item["paid_out_of_band"] = False
    item["discount"] = None
    item["tax"] = None
    item["total_tax_amounts"] = []


def _old_line(item: JsonObject, links: JsonObject) -> None:
    details = (item.pop("parent", None) or {}).get("subscription_item_details")
    item.pop("pricing", None)
    price = links.get("price")
    item["price"] = price
    item["plan"] = _plan(price)
    item["type"] = "subscription" if details else "invoiceitem"
    item["subscription_item"] = details and details["subscription_item"]
    item["proration"] = bool(details and details["proration"])


def _with_invoice(item: JsonObject, links: JsonObject) -> None:
    item["invoice"] = links.get("invoice")


def _with_coupon(item: JsonObject, _: JsonObject) -> None:
    holder = item.pop("promotion" if item["object"] == "promotion_code" else "source", None)
    item["coupon"] = holder and holder["coupon"]


def _with_features(item: JsonObject, _: JsonObject) -> None:
    item["features"] = item.pop("marketing_features", [])


def _with_charges(item: JsonObject, links: JsonObject) -> None:
    url = f"/v1/charges?payment_intent={item['id']}"
    data = links.get("charges", [])
    item["charges"] = {"object": "list", "data": data, "has_more": False, "total_count": len(data), "url": url}


Step = Callable[[JsonObject, JsonObject], None]
STEPS: Final[tuple[tuple[str, dict[str, Step]], ...]] = (
    (CLOVER, {"promotion_code": _with_coupon, "discount": _with_coupon}),
    (
        BASIL,
        {
            "subscription": _old_subscription,
            "subscription_item": _old_subscription_item,
            "invoice": _old_invoice,
            "line_item": _old_line,
            "charge": _with_invoice,
            "payment_intent": _with_invoice,
        },
    ),
    (MARKETING_FEATURES, {"product": _with_features}),
    (NO_CHARGES_LIST, {"payment_intent": _with_charges}),
)
