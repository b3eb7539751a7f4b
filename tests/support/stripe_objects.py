"""Stripe objects and events as their JSON stands on the wire, in the old shapes and the new."""

import hashlib
import hmac
import itertools
import json
from typing import Any

NOW = 1_790_000_000
"""Unix seconds: when these stories begin."""

MONTH = 30 * 86_400
OLD, NEW = "2022-11-15", "2026-10-28.endive"
SECRET = "whsec_test_of_ingest"

_numbers = itertools.count(1)

Json = dict[str, Any]


def price(object_id: str = "price_pro", product: str = "prod_pro", *, recurring: bool = True, **more: Any) -> Json:
    """A price."""
    return {
        "id": object_id, "object": "price", "product": product, "type": "recurring" if recurring else "one_time",
        "active": True, "livemode": False, "currency": "usd", "unit_amount": 1000, "nickname": None,
        "lookup_key": None, "metadata": {},
        "recurring": {"interval": "month", "interval_count": 1} if recurring else None, **more,
    }  # fmt: skip


def product(object_id: str = "prod_pro", **more: Any) -> Json:
    """A product."""
    return {
        "id": object_id, "object": "product", "name": "Pro", "description": None, "active": True, "livemode": False,
        "metadata": {}, **more,
    }  # fmt: skip


def subscription(
    object_id: str = "sub_1",
    *,
    prices: tuple[str, ...] = ("price_pro",),
    status: str = "active",
    start: int = NOW,
    end: int = NOW + MONTH,
    version: str = NEW,
    **more: Any,
) -> Json:
    """A subscription with an item for each price; periods stand where `version` puts them."""
    period = {"current_period_start": start, "current_period_end": end}
    on_items = version >= "2025-03-31"
    items = [
        {
            "id": f"si_{object_id}_{name}", "object": "subscription_item", "quantity": 1, "price": price(name),
            "subscription": object_id, **(period if on_items else {}),
        }
        for name in prices
    ]  # fmt: skip
    return {
        "id": object_id, "object": "subscription", "customer": "cus_1", "status": status, "created": NOW,
        "start_date": NOW, "trial_end": None, "cancel_at": None, "cancel_at_period_end": False, "canceled_at": None,
        "ended_at": None, "collection_method": "charge_automatically", "pause_collection": None, "livemode": False,
        "metadata": {"user_id": "ada", "project_id": "shop"},
        "items": {"object": "list", "data": items, "has_more": False},
        **({} if on_items else period), **more,
    }  # fmt: skip


def invoice(
    object_id: str = "in_1", sub: str | None = "sub_1", *, status: str = "open", version: str = NEW, **more: Any
) -> Json:
    """A subscription's invoice; it names its subscription where `version` puts it."""
    parent = {"type": "subscription_details", "subscription_details": {"subscription": sub}}
    named = {"parent": parent if sub else None} if version >= "2025-03-31" else {"subscription": sub}
    return {
        "id": object_id, "object": "invoice", "customer": "cus_1", "status": status, "created": NOW, "due_date": None,
        "currency": "usd", "amount_due": 1000, "amount_paid": 1000 if status == "paid" else 0, "livemode": False,
        "status_transitions": {"finalized_at": NOW, "paid_at": NOW if status == "paid" else None},
        **named, **more,
    }  # fmt: skip


def session(
    object_id: str = "cs_1",
    *,
    prices: tuple[str, ...] = ("price_life",),
    status: str = "complete",
    intent: str = "pi_1",
    **more: Any,
) -> Json:
    """A payment-mode session as the gateway fetches it: with lines, and its payment intent expanded."""
    lines = [
        {
            "id": f"li_{object_id}_{name}", "object": "item", "quantity": 1, "amount_total": 1000,
            "price": price(name, "prod_life", recurring=False),
        }
        for name in prices
    ]  # fmt: skip
    return {
        "id": object_id, "object": "checkout.session", "mode": "payment", "status": status,
        "payment_status": "paid" if status == "complete" else "unpaid", "customer": "cus_1",
        "client_reference_id": None, "subscription": None, "invoice": None, "amount_total": 1000 * len(lines),
        "payment_intent": {"id": intent, "object": "payment_intent", "created": NOW + 30}, "currency": "usd",
        "created": NOW, "livemode": False, "metadata": {"user_id": "ada", "project_id": "shop"},
        "line_items": {"object": "list", "data": lines, "has_more": False}, **more,
    }  # fmt: skip


def as_payload(source: Json) -> Json:
    """A session as an event carries it: without lines, and nothing expanded."""
    payload = {name: value for name, value in source.items() if name != "line_items"}
    for name in ("payment_intent", "subscription"):
        if isinstance(payload.get(name), dict):
            payload[name] = payload[name]["id"]
    return payload


def refund(object_id: str = "re_1", *, intent: str = "pi_1", amount: int = 1000, status: str = "succeeded") -> Json:
    """A refund."""
    return {
        "id": object_id, "object": "refund", "payment_intent": intent, "charge": "ch_1", "amount": amount,
        "currency": "usd", "status": status, "created": NOW + 60,
    }  # fmt: skip


def dispute(object_id: str = "du_1", *, intent: str = "pi_1", status: str = "lost") -> Json:
    """A dispute."""
    return {
        "id": object_id, "object": "dispute", "payment_intent": intent, "charge": "ch_1", "amount": 1000,
        "currency": "usd", "status": status, "created": NOW + 60,
    }  # fmt: skip


def customer(object_id: str = "cus_1", **more: Any) -> Json:
    """A customer."""
    return {"id": object_id, "object": "customer", "livemode": False, "metadata": {}, **more}


def event(event_type: str, source: Json, created: int = NOW, **more: Any) -> Json:
    """An event about an object."""
    return {
        "id": f"evt_{next(_numbers)}", "object": "event", "type": event_type, "created": created, "livemode": False,
        "api_version": NEW, "data": {"object": source}, "request": None, "pending_webhooks": 1, **more,
    }  # fmt: skip


def thin_event(kind: str, object_id: str, **more: Any) -> Json:
    """A thin event, which names its object only."""
    return {
        "id": f"evt_test_{next(_numbers)}", "object": "v2.core.event", "type": f"v1.{kind}.updated",
        "created": "2026-09-21T14:13:20.123Z", "livemode": False, "context": None,
        "related_object": {"id": object_id, "type": kind, "url": f"/v1/{kind}s/{object_id}"}, **more,
    }  # fmt: skip


def body_of(sent: Json) -> bytes:
    """The bytes that Stripe would send."""
    return json.dumps(sent).encode()


def signature(body: bytes, at: int, secret: str = SECRET) -> str:
    """The `Stripe-Signature` header of a body."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
