"""An invoice's draft: its lines, its sums, and whom it is for."""

from dataclasses import dataclass, field
from typing import Final

from sandbox.stripe.discounts import taken_off
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.shapes import JsonObject, copied, embedded

UNSET: Final[JsonObject] = {
    "account_country": "US",
    "account_name": "Sandbox",
    "account_tax_ids": None,
    "amount_overpaid": 0,
    "amount_paid": 0,
    "amount_paid_off_stripe": 0,
    "amount_shipping": 0,
    "application": None,
    "attempt_count": 0,
    "attempted": False,
    "auto_advance": True,
    "custom_fields": None,
    "customer_tax_exempt": "none",
    "customer_tax_ids": [],
    "default_payment_method": None,
    "default_source": None,
    "default_tax_rates": [],
    "description": None,
    "due_date": None,
    "effective_at": None,
    "ending_balance": None,
    "footer": None,
    "from_invoice": None,
    "hosted_invoice_url": None,
    "invoice_pdf": None,
    "last_finalization_error": None,
    "latest_revision": None,
    "metadata": {},
    "number": None,
    "on_behalf_of": None,
    "post_payment_credit_notes_amount": 0,
    "pre_payment_credit_notes_amount": 0,
    "receipt_number": None,
    "shipping_cost": None,
    "shipping_details": None,
    "statement_descriptor": None,
    "status": "draft",
    "total_pretax_credit_amounts": [],
    "total_taxes": [],
    "webhooks_delivered_at": None,
}
"""What every draft begins with."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line to be: what is sold for which period; `item` is the subscription item, None for a one-time price."""

    price: JsonObject
    quantity: int | None
    amount: int
    start: int
    end: int
    item: str | None = None
    proration: bool = False
    metadata: JsonObject = field(default_factory=dict)


def new_invoice(
    ledger: Ledger, customer_id: str, lines: list[Line], reason: str, subscription: JsonObject | None = None
) -> JsonObject:
    """A draft of `lines` with `billing_reason` `reason`; announced."""
    customer = ledger.store.get("customer", customer_id)
    now, invoice_id = ledger.clock.now(), ledger.store.new_id("in")
    made = [_line(ledger, invoice_id, line, subscription) for line in lines]
    ledger.store.note("invoice_lines")[invoice_id] = made
    by_invoice = subscription is not None and subscription["collection_method"] == "send_invoice"
    invoice = ledger.new(
        "invoice",
        "in",
        id=invoice_id,
        automatic_tax={
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        automatically_finalizes_at=now + ledger.settings.finalize_after,
        billing_reason=reason,
        collection_method="send_invoice" if by_invoice else "charge_automatically",
        currency=lines[0].price["currency"] if lines else "usd",
        customer=customer_id,
        customer_address=customer["address"],
        customer_email=customer["email"],
        customer_name=customer["name"],
        customer_phone=customer["phone"],
        customer_shipping=customer["shipping"],
        issuer={"type": "self"},
        lines=embedded(made, f"/v1/invoices/{invoice_id}/lines"),
        next_payment_attempt=now + ledger.settings.finalize_after,
        parent=_parent(subscription),
        payment_settings={"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        period_end=now,
        period_start=now,
        starting_balance=customer["balance"],
        status_transitions=dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")),
        test_clock=customer["test_clock"],
        **copied(UNSET),
    )
    _sum_up(ledger, invoice, made, customer, subscription)
    ledger.emit("invoice.created", invoice)
    return invoice


def _parent(subscription: JsonObject | None) -> JsonObject | None:
    if subscription is None:
        return None
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    return {"quote_details": None, "subscription_details": details, "type": "subscription_details"}


def _line(ledger: Ledger, invoice_id: str, line: Line, subscription: JsonObject | None) -> JsonObject:
    owner = subscription["id"] if subscription else None
    details: JsonObject = {"invoice_item": None, "proration": line.proration, "subscription": owner}
    details["proration_details"] = {"credited_items": None}
    if line.item is not None:
        kind, details["subscription_item"] = "subscription_item_details", line.item
    else:
        kind, details["invoice_item"] = "invoice_item_details", ledger.store.new_id("ii")
    parent: JsonObject = {"invoice_item_details": None, "subscription_item_details": None, "type": kind}
    price = {"price": line.price["id"], "product": line.price["product"]}
    return {
        "id": ledger.store.new_id("il"),
        "object": "line_item",
        "amount": line.amount,
        "currency": line.price["currency"],
        "description": line.price["nickname"] or line.price["product"],
        "discount_amounts": [],
        "discountable": not line.proration,
        "discounts": [],
        "invoice": invoice_id,
        "livemode": ledger.settings.livemode,
        "metadata": dict(line.metadata),
        "parent": parent | {kind: details},
        "period": {"end": line.end, "start": line.start},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": price,
            "type": "price_details",
            "unit_amount_decimal": line.price["unit_amount_decimal"],
        },
        "quantity": line.quantity,
        "quantity_decimal": None if line.quantity is None else str(line.quantity),
        "subscription": owner,
        "subtotal": line.amount,
        "taxes": [],
    }


def _sum_up(
    ledger: Ledger,
    invoice: JsonObject,
    lines: list[JsonObject],
    customer: JsonObject,
    subscription: JsonObject | None,
) -> None:
    subtotal = sum(line["amount"] for line in lines)
    discounts = subscription["discounts"] if subscription else []
    off = taken_off(ledger, discounts, subtotal)
    total = subtotal - sum(entry["amount"] for entry in off)
    due = max(0, total + customer["balance"])
    invoice |= {
        "amount_due": due,
        "amount_remaining": due,
        "discounts": list(discounts),
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "total": total,
        "total_discount_amounts": off,
        "total_excluding_tax": total,
    }
    ledger.store.put(invoice)
