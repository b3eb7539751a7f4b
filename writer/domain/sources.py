"""What can grant a user something: subscriptions, purchases, manual grants, as the rules need them."""

from dataclasses import dataclass
from enum import StrEnum

from common.clock import Instant
from common.document import Value
from common.identifiers import FeatureCode


class SubscriptionStatus(StrEnum):
    """Stripe's states of a subscription."""

    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    CANCELED = "canceled"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Item:
    """One line that was bought: of a subscription (with its own period) or of a purchase."""

    price_id: str
    product_id: str
    quantity: int
    period_end: Instant | None = None
    """A subscription item's; None on a purchase."""


@dataclass(frozen=True, slots=True)
class SubscriptionSource:
    """A subscription, with those of its items that are this user's."""

    id: str
    status: SubscriptionStatus
    started_at: Instant
    items: tuple[Item, ...]
    cancel_at: Instant | None = None
    cancel_at_period_end: bool = False
    first_period_end: Instant | None = None
    """The earliest period end of all its items, also of those that are another project's."""
    ended_at: Instant | None = None
    unpaid_since: Instant | None = None
    """When its oldest open invoice was finalised, or was due where it is sent; None: none is open."""


@dataclass(frozen=True, slots=True)
class PurchaseSource:
    """A complete checkout session, with those of its one-time lines that are this user's."""

    id: str
    settled: bool
    """Paid, or nothing was to pay."""
    completed_at: Instant
    amount: int
    refunded: int
    """Sum of refunds that were not failed or cancelled; same unit as `amount`."""
    dispute_lost: bool
    lines: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class GrantSource:
    """A manual grant that was not revoked."""

    id: str
    feature_code: FeatureCode
    value: Value
    valid_from: Instant
    valid_to: Instant | None


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything of one user in one project."""

    subscriptions: tuple[SubscriptionSource, ...] = ()
    purchases: tuple[PurchaseSource, ...] = ()
    grants: tuple[GrantSource, ...] = ()


NOTHING = Sources()
