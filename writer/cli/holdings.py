"""What was bought or granted, in a line for people."""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]


def told_of_holding(one: Json) -> Iterator[str]:
    """Its parts, out of an entry of `holdings` as explain gives it."""
    match one["kind"]:
        case "subscription":
            yield from _subscription(one)
        case "purchase":
            yield from _purchase(one)
        case _:
            yield from _grant(one)


def _subscription(one: Json) -> Iterator[str]:
    yield f"customer {one['customer_id']}"
    yield f"{one['status']} since {one['started_at']}"
    for name, words in (("cancel_at", "cancelled for"), ("ended_at", "ended"), ("trial_end", "trial until")):
        if one[name] is not None:
            yield f"{words} {one[name]}"
    if one["cancel_at_period_end"]:
        yield "ends with its period"
    for item in one["items"]:
        yield f"{_sold(item)} until {item['period_end']}"
    for invoice in one["invoices"][-3:]:
        due = f"{invoice['amount_due']} {invoice['currency']}"
        yield f"invoice {invoice['id']} {invoice['status']}, {due} of {invoice['finalized_at']}"


def _purchase(one: Json) -> Iterator[str]:
    yield "no customer" if one["customer_id"] is None else f"customer {one['customer_id']}"
    yield f"{one['payment_status']} {one['amount_total']} {one['currency']} on {one['completed_at']}"
    for name in ("payment_intent", "invoice_id"):
        if one[name] is not None:
            yield str(one[name])
    yield from map(_sold, one["items"])
    for word in ("refund", "dispute"):
        for back in one[f"{word}s"]:
            yield f"{word} {back['id']} {back['status']}, {back['amount']} {back['currency']} on {back['created_at']}"


def _grant(one: Json) -> Iterator[str]:
    yield f"by {one['actor']} on {one['created_at']}"
    yield f"reason: {one['reason']}"
    if one["revoked_at"] is not None:
        yield f"taken back by {one['revoked_by']} on {one['revoked_at']}"
        yield f"reason: {one['revoke_reason']}"


def _sold(item: Json) -> str:
    name = item["product_name"] or item["product_id"]
    return (
        f"{name} ({item['price_id']})" if item["quantity"] == 1 else f"{item['quantity']} {name} ({item['price_id']})"
    )
