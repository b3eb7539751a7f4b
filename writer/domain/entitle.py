"""The entitlement rules: what a user's sources and a catalogue grant, from when and until when. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import assert_never

from common.catalogue import Kind
from common.clock import SECOND, Instant
from common.document import MAX_LIMIT, Entitlement, Source, Value
from writer.domain.catalogue import Definition, PlanFeature
from writer.domain.sources import (
    GrantSource,
    Item,
    PurchaseSource,
    Sources,
    SubscriptionSource,
    SubscriptionStatus,
)

_DAY = 86_400 * SECOND
KEEP_EXPIRED = 30 * _DAY
"""How long an expired row stays in the document, so that an answer can say `expired`."""


@dataclass(frozen=True, slots=True)
class Grace:
    """How long rows outlive their paid period. Microseconds."""

    entitlement: int
    """After a period's end, to cover a late webhook; a stated end is never prolonged."""
    trial: int
    """The same while trialing."""
    past_due: int
    """After the oldest open invoice was finalised or due."""


_MANUAL_RANK = 2**31
"""An operator's word on a configuration comes before what was bought."""


@dataclass(frozen=True, slots=True)
class _Ranked:
    rank: int
    row: Entitlement


def entitle(sources: Sources, definition: Definition, grace: Grace, now: Instant) -> tuple[Entitlement, ...]:
    """Every row that the sources grant, best first within a feature: highest rank, then newest.

    `now` decides only which long expired rows are left out, never what a row says.
    """
    ranked = [
        *_from_subscriptions(sources.subscriptions, definition, grace),
        *_from_purchases(sources.purchases, definition),
        *_from_grants(sources.grants, definition),
    ]
    kept = [r for r in ranked if r.row.valid_to is None or r.row.valid_to > now - KEEP_EXPIRED]
    kept.sort(key=lambda r: (r.row.feature_code, -r.rank, -r.row.valid_from, r.row.source, r.row.source_ref))
    return tuple(r.row for r in kept)


def subscription_item_end(subscription: SubscriptionSource, item: Item, grace: Grace) -> Instant | None:
    """Until when an item grants; None: it grants nothing. A stated end caps exactly, without grace."""
    match subscription.status:
        case SubscriptionStatus.ACTIVE | SubscriptionStatus.TRIALING:
            end = _period_end(subscription, item, grace)
        case SubscriptionStatus.PAST_DUE:
            # Without an open invoice there is nothing to be late with: the period and its grace count.
            since = subscription.unpaid_since
            end = _period_end(subscription, item, grace) if since is None else Instant(since + grace.past_due)
        case SubscriptionStatus.CANCELED:
            return _earliest(subscription.ended_at, subscription.cancel_at)
        case (
            SubscriptionStatus.INCOMPLETE
            | SubscriptionStatus.INCOMPLETE_EXPIRED
            | SubscriptionStatus.UNPAID
            | SubscriptionStatus.PAUSED
        ):
            return None
        case never:
            assert_never(never)
    at_period_end = subscription.first_period_end if subscription.cancel_at_period_end else None
    return _earliest(end, subscription.cancel_at, at_period_end)


def _period_end(subscription: SubscriptionSource, item: Item, grace: Grace) -> Instant | None:
    if item.period_end is None:
        return None
    trialing = subscription.status is SubscriptionStatus.TRIALING
    return Instant(item.period_end + (grace.trial if trialing else grace.entitlement))


def _from_subscriptions(
    subscriptions: Iterable[SubscriptionSource], definition: Definition, grace: Grace
) -> Iterator[_Ranked]:
    for subscription in subscriptions:
        for item in subscription.items:
            end = subscription_item_end(subscription, item, grace)
            if end is not None and end > subscription.started_at:
                yield from _rows(item, definition, Source.SUBSCRIPTION, subscription.id, subscription.started_at, end)


def _from_purchases(purchases: Iterable[PurchaseSource], definition: Definition) -> Iterator[_Ranked]:
    for purchase in purchases:
        given_back = 0 < purchase.amount <= purchase.refunded
        if not purchase.settled or given_back or purchase.dispute_lost:
            continue
        for line in purchase.lines:
            price = definition.prices.get(line.price_id)
            days = price.grant_days if price else None
            end = None if days is None else Instant(purchase.completed_at + days * _DAY)
            yield from _rows(line, definition, Source.PURCHASE, purchase.id, purchase.completed_at, end)


def _from_grants(grants: Iterable[GrantSource], definition: Definition) -> Iterator[_Ranked]:
    for grant in grants:
        if grant.feature_code in definition.features:
            row = Entitlement(
                grant.feature_code, Source.MANUAL, grant.id, grant.valid_from, grant.valid_to, grant.value
            )
            yield _Ranked(_MANUAL_RANK, row)


def _rows(
    item: Item, definition: Definition, source: Source, ref: str, start: Instant, end: Instant | None
) -> Iterator[_Ranked]:
    plan = definition.plan_for(item.price_id, item.product_id)
    if plan is None or item.quantity == 0:
        return
    for granted in plan.features:
        feature = definition.features.get(granted.feature_code)
        if feature is not None:
            value = _value(granted, item.quantity, feature.kind)
            yield _Ranked(plan.rank, Entitlement(granted.feature_code, source, ref, start, end, value))


def _value(granted: PlanFeature, quantity: int, kind: Kind) -> Value:
    if kind is Kind.PLAIN:
        return None
    if granted.per_unit and type(granted.value) is int:
        return min(granted.value * quantity, MAX_LIMIT)  # more than that no reader takes
    return granted.value


def _earliest(*ends: Instant | None) -> Instant | None:
    return min((end for end in ends if end is not None), default=None)
