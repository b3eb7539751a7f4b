"""A subscription: its state, its items and their periods."""

from dataclasses import dataclass
from typing import Any

from common.clock import Instant
from writer.domain.sources import SubscriptionStatus
from writer.domain.stripe import fields
from writer.domain.stripe.fields import Object, ShapeError


@dataclass(frozen=True, slots=True)
class SubscriptionItem:
    """One line of a subscription."""

    id: str
    price_id: str
    product_id: str
    quantity: int
    period_start: Instant
    period_end: Instant


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as billing needs it."""

    id: str
    customer_id: str
    status: SubscriptionStatus
    started_at: Instant
    trial_end: Instant | None
    cancel_at: Instant | None
    cancel_at_period_end: bool
    canceled_at: Instant | None
    ended_at: Instant | None
    collection_method: str
    pause_collection: dict[str, Any] | None
    livemode: bool
    metadata: dict[str, str]
    items: tuple[SubscriptionItem, ...]


def is_whole(source: Object) -> bool:
    """Whether the object tells of all of its items, and until when each is paid; else it must be fetched.

    Before 2025-03-31 all items shared the subscription's period, and an event of such a version still shows one
    period where items now have several of their own.
    """
    items = fields.rows(source, "items")
    if fields.flag(fields.child(source, "items"), "has_more"):
        return False
    return len(items) <= 1 or all(row.get("current_period_end") is not None for row in items)


def parse_subscription(source: Object) -> Subscription:
    """Read a subscription of any API version; ShapeError names what is wrong."""
    customer = fields.reference(source, "customer")
    if customer is None:
        raise ShapeError("subscription.customer must be an id")
    return Subscription(
        id=fields.text(source, "id"),
        customer_id=customer,
        status=_status(fields.text(source, "status")),
        started_at=fields.instant(source, "start_date" if source.get("start_date") is not None else "created"),
        trial_end=fields.optional_instant(source, "trial_end"),
        cancel_at=fields.optional_instant(source, "cancel_at"),
        cancel_at_period_end=fields.flag(source, "cancel_at_period_end"),
        canceled_at=fields.optional_instant(source, "canceled_at"),
        ended_at=fields.optional_instant(source, "ended_at"),
        collection_method=fields.optional_text(source, "collection_method") or "charge_automatically",
        pause_collection=dict(fields.child(source, "pause_collection")) or None,
        livemode=fields.flag(source, "livemode"),
        metadata=fields.metadata(source),
        items=tuple(_item(source, row) for row in fields.rows(source, "items")),
    )


def _status(text: str) -> SubscriptionStatus:
    try:
        return SubscriptionStatus(text)
    except ValueError as error:
        raise ShapeError("subscription.status is none that is known") from error


def _item(subscription: Object, row: Object) -> SubscriptionItem:
    # Since 2025-03-31 each item has its own period; before, all shared the subscription's.
    period = row if row.get("current_period_end") is not None else subscription
    price = fields.child(row, "price")
    product = fields.reference(price, "product")
    if product is None:
        raise ShapeError("subscription_item.price.product must be an id")
    return SubscriptionItem(
        id=fields.text(row, "id"),
        price_id=fields.text(price, "id"),
        product_id=product,
        quantity=fields.whole(row, "quantity", default=1),  # metered prices have none
        period_start=fields.instant(period, "current_period_start"),
        period_end=fields.instant(period, "current_period_end"),
    )
