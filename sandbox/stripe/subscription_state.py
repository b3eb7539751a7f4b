"""The life of a subscription: begun, paid or not, renewed, cancelled, paused; each step announced."""

from dataclasses import dataclass, field
from typing import Final

from sandbox.stripe import invoicing
from sandbox.stripe.discounts import lasting, new_discount
from sandbox.stripe.invoicing import Line
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.payment_methods import Outcome, default_method
from sandbox.stripe.periods import end_after
from sandbox.stripe.shapes import JsonObject, embedded

ENDED: Final = frozenset({"canceled", "incomplete_expired"})


@dataclass(frozen=True, slots=True)
class Ordered:
    """A price in a quantity; for a subscription item or a line of a session."""

    price: JsonObject
    quantity: int
    metadata: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Order:
    """What a new subscription is to be. Moments are unix seconds."""

    customer: str
    recurring: list[Ordered]
    one_time: list[Ordered] = field(default_factory=list)
    metadata: JsonObject = field(default_factory=dict)
    trial_end: int | None = None
    anchor: int | None = None
    cancel_at: int | None = None
    cancel_at_period_end: bool = False
    by_invoice: bool = False
    days_until_due: int | None = None
    method: str | None = None
    description: str | None = None
    coupons: list[tuple[str, str | None]] = field(default_factory=list)
    missing_payment_method: str = "create_invoice"


def begin(ledger: Ledger, order: Order) -> tuple[JsonObject, JsonObject]:
    """The subscription, `incomplete` until paid (`trialing`, or `active` when paid by invoice), and its first invoice.

    The invoice is finalised and, where nothing is due, paid; neither the subscription nor its status is announced.
    """
    now, name = ledger.clock.now(), ledger.store.new_id("sub")
    trialing = order.trial_end is not None and order.trial_end > now
    anchor = order.trial_end if trialing and order.trial_end else order.anchor or now
    items = [new_item(ledger, name, one, now, order.trial_end if trialing else None, anchor) for one in order.recurring]
    ledger.store.note("items_of")[name] = items
    status = "trialing" if trialing else "active" if order.by_invoice else "incomplete"
    subscription = ledger.new(
        "subscription", "sub", **(_defaults(order, items, now) | {"id": name, "billing_cycle_anchor": anchor})
    )
    subscription |= {"status": status, "trial_start": now if trialing else None}
    subscription["trial_end"] = order.trial_end if trialing else None
    customer = ledger.store.get("customer", order.customer)
    customer["currency"] = subscription["currency"]
    subscription["test_clock"] = customer["test_clock"]
    subscription["discounts"] = [
        new_discount(ledger, coupon, code, order.customer, subscription=name)["id"] for coupon, code in order.coupons
    ]
    if order.days_until_due is not None:
        ledger.store.note("days_until_due")[name] = order.days_until_due
    if order.cancel_at_period_end:
        set_cancel_at_period_end(ledger, subscription, wanted=True)
    lines = [_line(item, free=trialing) for item in items]
    lines += [
        Line(one.price, one.quantity, one.price["unit_amount"] * one.quantity, now, now) for one in order.one_time
    ]
    invoice = invoicing.new_invoice(ledger, order.customer, lines, "subscription_create", subscription)
    subscription["latest_invoice"] = invoice["id"]
    subscription["discounts"] = lasting(ledger, subscription["discounts"])
    ledger.store.put(subscription)
    invoicing.finalize(ledger, invoice)
    return subscription, invoice


def _defaults(order: Order, items: list[JsonObject], now: int) -> JsonObject:
    url = f"/v1/subscription_items?subscription={items[0]['subscription']}"
    cancellation = {"comment": None, "feedback": None, "reason": None}
    return {
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": order.cancel_at,
        "cancel_at_period_end": False,
        "canceled_at": now if order.cancel_at else None,
        "cancellation_details": cancellation | ({"reason": "cancellation_requested"} if order.cancel_at else {}),
        "collection_method": "send_invoice" if order.by_invoice else "charge_automatically",
        "currency": items[0]["price"]["currency"],
        "customer": order.customer,
        "days_until_due": order.days_until_due,
        "default_payment_method": order.method,
        "default_source": None,
        "default_tax_rates": [],
        "description": order.description,
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": embedded(items, url),
        "latest_invoice": None,
        "metadata": dict(order.metadata),
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": now,
        "transfer_data": None,
        "trial_settings": {"end_behavior": {"missing_payment_method": order.missing_payment_method}},
    }


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
            "quantity": one.quantity,
            "subscription": subscription,
            "tax_rates": [],
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


def amount_of(item: JsonObject) -> int:
    """What one period of the item costs."""
    return int(item["price"]["unit_amount"] * item["quantity"])


def _line(item: JsonObject, *, free: bool = False) -> Line:
    start, end = item["current_period_start"], item["current_period_end"]
    amount = 0 if free else amount_of(item)
    return Line(item["price"], item["quantity"], amount, start, end, item["id"], metadata=item["metadata"])


def collect(ledger: Ledger, subscription: JsonObject, invoice: JsonObject, outcome: Outcome | None = None) -> Outcome:
    """Try to take the money of an open invoice and move the subscription accordingly."""
    result = invoicing.charge_invoice(ledger, invoice, outcome=outcome)
    if result is Outcome.ASYNC:
        _become(ledger, subscription, "active")
    else:
        after_payment(ledger, subscription, invoice, paid=result is not Outcome.FAIL)
    return result


def after_payment(ledger: Ledger, subscription: JsonObject, invoice: JsonObject, *, paid: bool) -> None:
    """What a settled or failed invoice means for its subscription."""
    status = subscription["status"]
    if status in ENDED:
        return
    if paid:
        if status in ("incomplete", "past_due", "unpaid") and subscription["latest_invoice"] == invoice["id"]:
            _become(ledger, subscription, "active")
        elif status == "paused":
            resume(ledger, subscription)
        return
    if status == "incomplete" or invoice["status"] == "paid":
        return
    if invoice["next_payment_attempt"] is not None:
        _become(ledger, subscription, "past_due")
    elif ledger.settings.dunning_end == "canceled":
        cancel_now(ledger, subscription, reason="payment_failed")
    else:
        _become(ledger, subscription, ledger.settings.dunning_end)


def _become(ledger: Ledger, subscription: JsonObject, status: str) -> None:
    with ledger.changing(subscription, "customer.subscription.updated"):
        subscription["status"] = status


def cancel_now(ledger: Ledger, subscription: JsonObject, *, reason: str) -> None:
    """End it at this moment."""
    now = ledger.clock.now()
    subscription["cancellation_details"]["reason"] = subscription["cancellation_details"]["reason"] or reason
    subscription |= {"status": "canceled", "ended_at": now, "canceled_at": subscription["canceled_at"] or now}
    ledger.store.put(subscription)
    ledger.emit("customer.subscription.deleted", subscription)


def expire_incomplete(ledger: Ledger, subscription: JsonObject) -> None:
    """The first payment never came: void its invoice."""
    invoice = ledger.store.get("invoice", subscription["latest_invoice"])
    if invoice["status"] == "open":
        invoicing.close(ledger, invoice, "void")
    subscription["ended_at"] = ledger.clock.now()
    _become(ledger, subscription, "incomplete_expired")


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


def renew(ledger: Ledger, subscription: JsonObject) -> None:
    """Begin the next period of every item whose period is over, and bill it."""
    now = ledger.clock.now()
    due = [item for item in items_of(ledger, subscription) if item["current_period_end"] <= now]
    with ledger.changing(subscription, "customer.subscription.updated"):
        period = (min(item["current_period_start"] for item in due), max(i["current_period_end"] for i in due))
        for item in due:
            item["current_period_start"] = item["current_period_end"]
            recurring = item["price"]["recurring"]
            item["current_period_end"] = end_after(
                subscription["billing_cycle_anchor"], recurring, item["current_period_start"]
            )
        show_items(ledger, subscription)
        if subscription["status"] == "trialing":
            subscription["status"] = "active"
        invoice = bill(ledger, subscription, [_line(item) for item in due], "subscription_cycle")
        invoice["period_start"], invoice["period_end"] = period
    if invoice["automatically_finalizes_at"] is not None and invoice["automatically_finalizes_at"] <= now:
        finalize_and_collect(ledger, invoice)


def bill(ledger: Ledger, subscription: JsonObject, lines: list[Line], reason: str) -> JsonObject:
    """A draft of `lines` and the prorations that wait."""
    waiting = ledger.store.note("pending_lines").pop(subscription["id"], [])
    lines = [*(Line(**line) for line in waiting), *lines]
    invoice = invoicing.new_invoice(ledger, subscription["customer"], lines, reason, subscription)
    subscription["latest_invoice"] = invoice["id"]
    subscription["discounts"] = lasting(ledger, subscription["discounts"])
    if (
        subscription["status"] == "unpaid"
        or (subscription["pause_collection"] or {}).get("behavior") == "keep_as_draft"
    ):
        invoice |= {"auto_advance": False, "automatically_finalizes_at": None, "next_payment_attempt": None}
    return invoice


def finalize_and_collect(ledger: Ledger, invoice: JsonObject) -> None:
    """Finalise a draft and, unless the customer pays by invoice or collection is paused, charge it."""
    subscription = ledger.store.get("subscription", invoice["parent"]["subscription_details"]["subscription"])
    invoicing.finalize(ledger, invoice)
    paused = (subscription["pause_collection"] or {}).get("behavior")
    if invoice["status"] == "open" and paused in ("void", "mark_uncollectible"):
        invoicing.close(ledger, invoice, "void" if paused == "void" else "uncollectible")
    elif invoice["status"] == "open" and invoice["collection_method"] == "charge_automatically":
        collect(ledger, subscription, invoice)


def end_trial(ledger: Ledger, subscription: JsonObject) -> None:
    """The trial is over: bill, or, with nothing to charge, do as `trial_settings` says."""
    behaviour = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    missing = default_method(ledger, subscription["customer"], subscription) is None
    if missing and behaviour == "cancel":
        cancel_now(ledger, subscription, reason="cancellation_requested")
    elif missing and behaviour == "pause":
        _become(ledger, subscription, "paused")
        ledger.emit("customer.subscription.paused", subscription)
    else:
        renew(ledger, subscription)


def resume(ledger: Ledger, subscription: JsonObject) -> None:
    """From `paused` to `active`, with a period that begins now."""
    now = ledger.clock.now()
    with ledger.changing(subscription, "customer.subscription.updated"):
        subscription |= {"status": "active", "billing_cycle_anchor": now, "trial_end": subscription["trial_end"]}
        for item in items_of(ledger, subscription):
            item |= {
                "current_period_start": now,
                "current_period_end": end_after(now, item["price"]["recurring"], now),
            }
        show_items(ledger, subscription)
        invoice = bill(ledger, subscription, [_line(i) for i in items_of(ledger, subscription)], "subscription_update")
    ledger.emit("customer.subscription.resumed", subscription)
    finalize_and_collect(ledger, invoice)
