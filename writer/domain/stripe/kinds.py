"""Which events are ours to apply, and what kind of object each is a hint about."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class ObjectKind(StrEnum):
    """Stripe objects that entitlements are made of; the value is the object's own `object` field."""

    CUSTOMER = "customer"
    SUBSCRIPTION = "subscription"
    INVOICE = "invoice"
    SESSION = "checkout.session"
    CHARGE = "charge"
    REFUND = "refund"
    DISPUTE = "dispute"
    PRODUCT = "product"
    PRICE = "price"


_TYPES: Final[Mapping[ObjectKind, tuple[str, ...]]] = {
    ObjectKind.CUSTOMER: ("customer.created", "customer.updated", "customer.deleted"),
    ObjectKind.SUBSCRIPTION: tuple(
        f"customer.subscription.{name}"
        for name in ("created", "updated", "deleted", "paused", "resumed", "trial_will_end")
    ),
    ObjectKind.INVOICE: tuple(
        f"invoice.{name}"
        for name in ("finalized", "paid", "payment_succeeded", "payment_failed", "voided", "marked_uncollectible")
    ),
    ObjectKind.SESSION: tuple(
        f"checkout.session.{name}"
        for name in ("completed", "async_payment_succeeded", "async_payment_failed", "expired")
    ),
    ObjectKind.CHARGE: ("charge.refunded",),
    ObjectKind.REFUND: ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"),
    ObjectKind.DISPUTE: tuple(
        f"charge.dispute.{name}" for name in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")
    ),
    ObjectKind.PRODUCT: ("product.created", "product.updated", "product.deleted"),
    ObjectKind.PRICE: ("price.created", "price.updated", "price.deleted"),
}

KIND_OF_TYPE: Final[Mapping[str, ObjectKind]] = MappingProxyType(
    {name: kind for kind, names in _TYPES.items() for name in names}
)
"""Every event type that is applied; any other is stored and ignored."""

_DELETABLE: Final = frozenset({ObjectKind.CUSTOMER, ObjectKind.PRODUCT, ObjectKind.PRICE})


def is_deletion(event_type: str) -> bool:
    """Whether the event says that its object is gone. A deleted subscription is not: it stays, canceled."""
    return event_type.endswith(".deleted") and KIND_OF_TYPE.get(event_type) in _DELETABLE


def kind_of_object(name: str) -> ObjectKind | None:
    """The kind that an object's own `object` field names; None where it is none of ours."""
    try:
        return ObjectKind(name)
    except ValueError:
        return None
