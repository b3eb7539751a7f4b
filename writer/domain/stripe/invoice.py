"""An invoice, as far as grace, revenue and refunds need it."""

from dataclasses import dataclass

from common.clock import Instant
from writer.domain.stripe import fields
from writer.domain.stripe.fields import Object


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice. Amounts in the currency's smallest unit."""

    id: str
    subscription_id: str | None
    customer_id: str | None
    status: str
    created: Instant
    finalized_at: Instant | None
    due_date: Instant | None
    paid_at: Instant | None
    currency: str
    amount_due: int
    amount_paid: int
    livemode: bool
    payment_intent: str | None
    """What paid it, where the object says so: new shapes only when its payments were asked for."""


def parse_invoice(source: Object) -> Invoice:
    """Read an invoice of any API version; ShapeError names what is wrong."""
    transitions = fields.child(source, "status_transitions")
    return Invoice(
        id=fields.text(source, "id"),
        subscription_id=_subscription(source),
        customer_id=fields.reference(source, "customer"),
        status=fields.optional_text(source, "status") or "draft",
        created=fields.instant(source, "created"),
        finalized_at=fields.optional_instant(transitions, "finalized_at"),
        due_date=fields.optional_instant(source, "due_date"),
        paid_at=fields.optional_instant(transitions, "paid_at"),
        currency=fields.text(source, "currency"),
        amount_due=fields.whole(source, "amount_due"),
        amount_paid=fields.whole(source, "amount_paid", default=0),
        livemode=fields.flag(source, "livemode"),
        payment_intent=_payment_intent(source),
    )


def _subscription(source: Object) -> str | None:
    # Since 2025-03-31 an invoice names its subscription as its parent.
    details = fields.child(fields.child(source, "parent"), "subscription_details")
    return fields.reference(details, "subscription") or fields.reference(source, "subscription")


def _payment_intent(source: Object) -> str | None:
    old = fields.reference(source, "payment_intent")
    if old is not None:
        return old
    attempts = fields.rows(source, "payments")
    paid = [row for row in attempts if row.get("status") == "paid"] or list(attempts)
    intents = [fields.reference(fields.child(row, "payment"), "payment_intent") for row in paid]
    return next((intent for intent in intents if intent is not None), None)
