"""How a subscription begins: what was ordered, its first periods and its first invoice."""

from dataclasses import dataclass, field
from typing import Final

from sandbox.stripe import invoicing
from sandbox.stripe.amounts import cost
from sandbox.stripe.discounts import lasting, new_discount
from sandbox.stripe.invoice_drafts import Line, new_invoice
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.shapes import JsonObject, copied, embedded
from sandbox.stripe.subscribed_items import Ordered, new_item, period_line, set_cancel_at_period_end

BILLING_MODES: Final[dict[str, JsonObject]] = {
    "classic": {"flexible": None, "type": "classic"},
    "flexible": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
}


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
    billing_mode: str = "flexible"


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
    lines = [period_line(ledger, item, free=trialing) for item in items]
    lines += [Line(one.price, one.quantity, cost(ledger, one.price, one.quantity), now, now) for one in order.one_time]
    invoice = new_invoice(ledger, order.customer, lines, "subscription_create", subscription)
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
        "billing_mode": copied(BILLING_MODES[order.billing_mode]),
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
