"""An invoice, as far as grace, revenue and refunds need it."""

from collections.abc import Mapping
from dataclasses import dataclass

from common.clock import Instant
from writer.domain.stripe import fields
from writer.domain.stripe.fields import Object, ShapeError


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """What one line sold. `amount` is after discounts and before tax; a credit is negative."""

    price_id: str | None
    amount: int
    recurring: bool


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
    lines: tuple[InvoiceLine, ...] | None
    """None: the object carries none, or not all of them."""


def carries_all_lines(source: Object) -> bool:
    """Whether the object tells all of its lines: it shows the first ten."""
    return not fields.flag(fields.child(source, "lines"), "has_more")


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
        lines=_lines(source),
    )


def _lines(source: Object) -> tuple[InvoiceLine, ...] | None:
    if not fields.child(source, "lines") or not carries_all_lines(source):
        return None
    try:
        return tuple(_line(row) for row in fields.rows(source, "lines"))
    except ShapeError:  # what cannot be told apart in figures must not keep an invoice from counting as paid
        return None


def _line(row: Object) -> InvoiceLine:
    # Since 2025-03-31 a line names its price under `pricing`, and what it bills as its `parent`.
    parent = fields.child(row, "parent")
    of_item = fields.optional_text(parent, "type") == "subscription_item_details"
    prorated = fields.flag(fields.child(parent, "invoice_item_details"), "proration")
    old = fields.child(row, "price")
    of_subscription = fields.optional_text(row, "type") == "subscription" or bool(row.get("subscription_item"))
    discounts = [one for one in row.get("discount_amounts") or [] if isinstance(one, Mapping)]
    return InvoiceLine(
        price_id=fields.reference(fields.child(fields.child(row, "pricing"), "price_details"), "price")
        or fields.reference(row, "price"),
        amount=fields.whole(row, "amount") - sum(fields.whole(one, "amount", default=0) for one in discounts),
        recurring=of_item or prorated or of_subscription or fields.optional_text(old, "type") == "recurring",
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
