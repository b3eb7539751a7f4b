"""Invoices as they are finalised, paid and voided; what that means for a subscription is decided elsewhere."""

from sandbox.stripe.charging import attempt, new_intent, settle
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.payment_methods import Outcome, default_method
from sandbox.stripe.shapes import JsonObject

SECONDS_A_DAY = 86400


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
