"""Invoices as they are made, finalised, paid and voided; what that means for a subscription is decided elsewhere."""

from dataclasses import dataclass, field

from sandbox.stripe.charging import attempt, new_intent, settle
from sandbox.stripe.discounts import taken_off
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.payment_methods import Outcome, default_method
from sandbox.stripe.shapes import JsonObject, embedded

SECONDS_A_DAY = 86400


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
        account_country="US",
        account_name="Sandbox",
        account_tax_ids=None,
        amount_overpaid=0,
        amount_paid=0,
        amount_paid_off_stripe=0,
        amount_shipping=0,
        application=None,
        attempt_count=0,
        attempted=False,
        auto_advance=True,
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
        custom_fields=None,
        customer=customer_id,
        customer_address=customer["address"],
        customer_email=customer["email"],
        customer_name=customer["name"],
        customer_phone=customer["phone"],
        customer_shipping=customer["shipping"],
        customer_tax_exempt="none",
        customer_tax_ids=[],
        default_payment_method=None,
        default_source=None,
        default_tax_rates=[],
        description=None,
        due_date=None,
        effective_at=None,
        ending_balance=None,
        footer=None,
        from_invoice=None,
        hosted_invoice_url=None,
        invoice_pdf=None,
        issuer={"type": "self"},
        last_finalization_error=None,
        latest_revision=None,
        lines=embedded(made, f"/v1/invoices/{invoice_id}/lines"),
        metadata={},
        next_payment_attempt=now + ledger.settings.finalize_after,
        number=None,
        on_behalf_of=None,
        parent=_parent(subscription),
        payment_settings={"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        period_end=now,
        period_start=now,
        post_payment_credit_notes_amount=0,
        pre_payment_credit_notes_amount=0,
        receipt_number=None,
        shipping_cost=None,
        shipping_details=None,
        starting_balance=customer["balance"],
        statement_descriptor=None,
        status="draft",
        status_transitions=dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")),
        test_clock=customer["test_clock"],
        total_pretax_credit_amounts=[],
        total_taxes=[],
        webhooks_delivered_at=None,
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


def finalize(ledger: Ledger, invoice: JsonObject) -> None:
    """Give it its number and, where money is due, the payment that is to settle it."""
    now = ledger.clock.now()
    customer = ledger.store.get("customer", invoice["customer"])
    with ledger.changing(invoice, "invoice.finalized"):
        number = customer["next_invoice_sequence"]
        customer["next_invoice_sequence"] = number + 1
        customer["balance"] = min(0, customer["balance"] + invoice["total"])
        invoice |= {
            "automatically_finalizes_at": None,
            "effective_at": now,
            "ending_balance": customer["balance"],
            "hosted_invoice_url": f"{ledger.base_url}/i/{invoice['id']}",
            "next_payment_attempt": None,
            "number": f"{customer['invoice_prefix']}-{number:04}",
            "status": "open",
        }
        invoice["status_transitions"]["finalized_at"] = now
        if invoice["collection_method"] == "send_invoice":
            days = ledger.store.note("days_until_due").get(_subscription_of(invoice) or "", 30)
            invoice["due_date"] = now + days * SECONDS_A_DAY
    if invoice["amount_due"] > 0:
        _new_payment(ledger, invoice)
    else:
        mark_paid(ledger, invoice)


def _subscription_of(invoice: JsonObject) -> str | None:
    found: str | None = ((invoice["parent"] or {}).get("subscription_details") or {}).get("subscription")
    return found


def _new_payment(ledger: Ledger, invoice: JsonObject) -> None:
    why = "Subscription creation" if invoice["billing_reason"] == "subscription_create" else "Payment for Invoice"
    intent = new_intent(ledger, invoice["amount_due"], invoice["currency"], invoice["customer"], description=why)
    payment = ledger.new(
        "invoice_payment",
        "inpay",
        amount_paid=None,
        amount_requested=invoice["amount_due"],
        currency=invoice["currency"],
        invoice=invoice["id"],
        is_default=True,
        payment={"payment_intent": intent["id"], "type": "payment_intent"},
        status="open",
        status_transitions={"canceled_at": None, "paid_at": None},
    )
    ledger.store.note("invoice_of")[intent["id"]] = invoice["id"]
    ledger.store.note("payments_of").setdefault(invoice["id"], []).append(payment["id"])


def intent_of(ledger: Ledger, invoice: JsonObject) -> JsonObject | None:
    """The payment intent that is to settle the invoice; None where nothing is due."""
    names = ledger.store.note("payments_of").get(invoice["id"], [])
    if not names:
        return None
    payment = ledger.store.get("invoice_payment", names[-1])
    return ledger.store.get("payment_intent", payment["payment"]["payment_intent"])


def charge_invoice(
    ledger: Ledger, invoice: JsonObject, method: str | None = None, outcome: Outcome | None = None
) -> Outcome:
    """One attempt to collect an open invoice; announces whether it was paid."""
    intent = intent_of(ledger, invoice)
    if intent is None:
        return Outcome.SUCCEED
    subscription = ledger.store.find("subscription", _subscription_of(invoice))
    used = method or default_method(ledger, invoice["customer"], subscription)
    invoice |= {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}
    result = attempt(ledger, intent, used, outcome)
    if result is not Outcome.ASYNC:
        conclude(ledger, invoice, paid=result is not Outcome.FAIL)
    return result


def settle_invoice(ledger: Ledger, invoice: JsonObject, *, paid: bool) -> None:
    """End a payment that was under way."""
    intent = intent_of(ledger, invoice)
    if intent is not None:
        settle(ledger, intent, paid=paid)
        conclude(ledger, invoice, paid=paid)


def conclude(ledger: Ledger, invoice: JsonObject, *, paid: bool) -> None:
    """Write the result of an attempt on the invoice."""
    if paid:
        mark_paid(ledger, invoice)
        return
    waits, done = ledger.settings.dunning, invoice["attempt_count"]
    retry = done <= len(waits) and invoice["billing_reason"] != "subscription_create"
    invoice["next_payment_attempt"] = ledger.clock.now() + waits[done - 1] if retry else None
    ledger.store.put(invoice)
    ledger.emit("invoice.payment_failed", invoice)


def mark_paid(ledger: Ledger, invoice: JsonObject) -> None:
    """Paid in full."""
    now = ledger.clock.now()
    invoice |= {
        "amount_paid": invoice["amount_due"],
        "amount_remaining": 0,
        "attempted": True,
        "next_payment_attempt": None,
        "status": "paid",
    }
    invoice["status_transitions"]["paid_at"] = now
    ledger.store.put(invoice)
    for name in ledger.store.note("payments_of").get(invoice["id"], []):
        payment = ledger.store.get("invoice_payment", name)
        payment |= {"amount_paid": payment["amount_requested"], "status": "paid"}
        payment["status_transitions"]["paid_at"] = now
        ledger.store.put(payment)
        ledger.emit("invoice_payment.paid", payment)
    ledger.emit("invoice.paid", invoice)
    ledger.emit("invoice.payment_succeeded", invoice)


def close(ledger: Ledger, invoice: JsonObject, status: str) -> None:
    """Give it up: `void` or `uncollectible`."""
    moment = "voided_at" if status == "void" else "marked_uncollectible_at"
    invoice |= {"status": status, "next_payment_attempt": None, "automatically_finalizes_at": None}
    invoice["status_transitions"][moment] = ledger.clock.now()
    ledger.store.put(invoice)
    ledger.emit("invoice.voided" if status == "void" else "invoice.marked_uncollectible", invoice)
