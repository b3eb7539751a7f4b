"""A customer: whose it is, and whether it still exists."""

from dataclasses import dataclass

from writer.domain.stripe import fields
from writer.domain.stripe.fields import Object


@dataclass(frozen=True, slots=True)
class Customer:
    """A Stripe customer."""

    id: str
    deleted: bool
    livemode: bool
    metadata: dict[str, str]
    stub: bool
    """Fetched after it was deleted: nothing is told of it any more."""


def parse_customer(source: Object) -> Customer:
    """Read a customer, also the stub that stands for a deleted one; ShapeError names what is wrong."""
    return Customer(
        id=fields.text(source, "id"),
        deleted=fields.flag(source, "deleted"),
        livemode=fields.flag(source, "livemode"),
        metadata=fields.metadata(source),
        stub=fields.flag(source, "deleted") and "metadata" not in source,
    )
