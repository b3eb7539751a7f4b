"""Money that went back: refunds and disputes."""

from dataclasses import dataclass

from common.clock import Instant
from writer.domain.stripe import fields
from writer.domain.stripe.fields import Object


@dataclass(frozen=True, slots=True)
class Refund:
    """Money given back. Amount in the currency's smallest unit."""

    id: str
    payment_intent: str | None
    charge: str | None
    amount: int
    currency: str
    status: str
    created: Instant


@dataclass(frozen=True, slots=True)
class Dispute:
    """A payment that the customer's bank questions. Amount in the currency's smallest unit."""

    id: str
    payment_intent: str | None
    charge: str | None
    amount: int
    currency: str
    status: str
    created: Instant


def parse_refund(source: Object) -> Refund:
    """Read a refund; ShapeError names what is wrong."""
    return Refund(
        id=fields.text(source, "id"),
        payment_intent=fields.reference(source, "payment_intent"),
        charge=fields.reference(source, "charge"),
        amount=fields.whole(source, "amount"),
        currency=fields.text(source, "currency"),
        status=fields.optional_text(source, "status") or "succeeded",  # legacy refunds have none: they were instant
        created=fields.instant(source, "created"),
    )


def parse_dispute(source: Object) -> Dispute:
    """Read a dispute; ShapeError names what is wrong."""
    return Dispute(
        id=fields.text(source, "id"),
        payment_intent=fields.reference(source, "payment_intent"),
        charge=fields.reference(source, "charge"),
        amount=fields.whole(source, "amount"),
        currency=fields.text(source, "currency"),
        status=fields.text(source, "status"),
        created=fields.instant(source, "created"),
    )
