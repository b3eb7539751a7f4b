"""Whether one source gives a feature at a moment, and if not, why: the entitlement rules, told backwards. Pure.

What counts is decided by `entitle` alone; here it is only told why a source of which nothing came gave nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from common.clock import Instant, format_time
from common.document import Entitlement, Value
from common.identifiers import FeatureCode
from writer.domain.catalogue import Definition
from writer.domain.entitle import Grace, entitle, subscription_item_end
from writer.domain.sources import (
    GrantSource,
    Item,
    PurchaseSource,
    Sources,
    SubscriptionSource,
    SubscriptionStatus,
)


class Fate(StrEnum):
    """What became of a source's say on a feature."""

    COUNTS = "counts"
    NOT_YET = "not_yet"
    """It begins later."""
    STATUS = "status"
    """The subscription is in a state that grants nothing."""
    ENDED = "ended"
    """The subscription was cancelled, and its end has come."""
    GRACE_OVER = "grace_over"
    """It is past due for longer than the grace."""
    LAPSED = "lapsed"
    """Its paid period and the grace after it are over, and nothing was heard of a renewal."""
    NOT_PAID = "not_paid"
    REFUNDED = "refunded"
    DISPUTE_LOST = "dispute_lost"
    EXPIRED = "expired"
    """A purchase or a grant for a time that is over."""
    REVOKED = "revoked"
    UNASSIGNED = "unassigned"
    """It is nobody's."""
    ANOTHERS = "anothers"
    """It belongs to another user or project now."""
    NOT_PLACED = "not_placed"
    """Its price belongs to no project."""
    NOT_IN_PLAN = "not_in_plan"
    """The catalogue does not say that its price or product gives the feature."""
    UNKNOWN_FEATURE = "unknown_feature"
    """The catalogue has no such feature."""
    NO_QUANTITY = "no_quantity"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A fate in words for people, and what the source gives, gave or will give."""

    fate: Fate
    words: str
    row: Entitlement | None = None
    """The entitlement that counts, or that counted last; None where nothing comes of the source."""

    @property
    def value(self) -> Value:
        """Of a limit or a configuration."""
        return None if self.row is None else self.row.value


@dataclass(frozen=True, slots=True)
class Rules:
    """What it is judged by: one version of the catalogue, the grace, and the moment."""

    definition: Definition
    grace: Grace
    now: Instant


_SILENT: Final = {
    SubscriptionStatus.INCOMPLETE: "its first payment has not succeeded yet (incomplete)",
    SubscriptionStatus.INCOMPLETE_EXPIRED: "its first payment never succeeded (incomplete_expired)",
    SubscriptionStatus.UNPAID: "its invoices were given up unpaid (unpaid)",
    SubscriptionStatus.PAUSED: "it is paused: its trial ended without a payment method (paused)",
}
_EVER: Final = Instant(0)


def of_subscription(source: SubscriptionSource, feature: FeatureCode, rules: Rules) -> Verdict:
    """Of a subscription with those of its items that are the user's."""
    rows = _rows(Sources(subscriptions=(source,)), feature, rules)
    if rows:
        return _over_time(rows, rules.now, _subscription_words(source), _why_over(source))
    if source.status in _SILENT:
        return Verdict(Fate.STATUS, _SILENT[source.status])
    obstacle = _catalogue_obstacle(source.items, feature, rules.definition)
    if obstacle is not None:
        return obstacle
    ends = [subscription_item_end(source, item, rules.grace) for item in source.items]
    last = max((end for end in ends if end is not None), default=source.ended_at)
    return Verdict(Fate.ENDED, f"it ended as it began{'' if last is None else f', {format_time(last)}'}")


def of_purchase(source: PurchaseSource, feature: FeatureCode, rules: Rules) -> Verdict:
    """Of a purchase with those of its lines that are the user's."""
    rows = _rows(Sources(purchases=(source,)), feature, rules)
    if rows:
        return _over_time(rows, rules.now, "it is paid", (Fate.EXPIRED, "the time that it was bought for is over"))
    if not source.settled:
        return Verdict(Fate.NOT_PAID, "its money has not arrived, or never came")
    if source.dispute_lost:
        return Verdict(Fate.DISPUTE_LOST, "the customer's bank took the money back: the dispute was lost")
    if 0 < source.amount <= source.refunded:
        return Verdict(Fate.REFUNDED, f"all of it was refunded ({source.refunded} of {source.amount})")
    obstacle = _catalogue_obstacle(source.lines, feature, rules.definition)
    return obstacle or Verdict(Fate.NOT_IN_PLAN, "nothing that was bought gives it")


def of_grant(source: GrantSource, feature: FeatureCode, rules: Rules) -> Verdict:
    """Of a manual grant that was not revoked."""
    rows = _rows(Sources(grants=(source,)), feature, rules)
    if rows:
        return _over_time(rows, rules.now, "it was given by hand", (Fate.EXPIRED, "it was given for a time only"))
    return Verdict(Fate.UNKNOWN_FEATURE, f"the catalogue has no feature {feature} any more")


def gives(items: Iterable[Item], feature: FeatureCode, definition: Definition) -> bool:
    """Whether the catalogue says that any of these items gives the feature."""
    return any(giving(item, feature, definition) is not None for item in items)


def giving(item: Item, feature: FeatureCode, definition: Definition) -> str | None:
    """The plan (`price_…`, `prod_…`) by which an item gives the feature."""
    plan = definition.plan_for(item.price_id, item.product_id)
    if plan is None or feature not in {granted.feature_code for granted in plan.features}:
        return None
    return plan.target


def _rows(sources: Sources, feature: FeatureCode, rules: Rules) -> list[Entitlement]:
    # As of the beginning of time, so that what ended long ago is told too.
    rows = entitle(sources, rules.definition, rules.grace, _EVER)
    return [row for row in rows if row.feature_code == feature]


def _over_time(rows: Sequence[Entitlement], now: Instant, words: str, over: tuple[Fate, str]) -> Verdict:
    active = [row for row in rows if row.valid_from <= now and (row.valid_to is None or now < row.valid_to)]
    if active:
        row = active[0]
        until = "for life" if row.valid_to is None else f"until {format_time(row.valid_to)}"
        return Verdict(Fate.COUNTS, f"{words}, {until}", row)
    coming = [row for row in rows if row.valid_from > now]
    if coming:
        first = min(coming, key=lambda row: row.valid_from)
        return Verdict(Fate.NOT_YET, f"it begins {format_time(first.valid_from)}", first)
    last = max(rows, key=lambda row: row.valid_to or 0)
    fate, why = over
    ended = "" if last.valid_to is None else f"; it counted until {format_time(last.valid_to)}"
    return Verdict(fate, f"{why}{ended}", last)


def _subscription_words(source: SubscriptionSource) -> str:
    if source.status is SubscriptionStatus.PAST_DUE:
        return "it is past_due, within its grace"
    if source.status is SubscriptionStatus.CANCELED:
        return "it is cancelled and not over yet"
    leaving = " and will not renew" if source.cancel_at_period_end or source.cancel_at is not None else ""
    return f"it is {source.status.value}{leaving}"


def _why_over(source: SubscriptionSource) -> tuple[Fate, str]:
    if source.status is SubscriptionStatus.CANCELED:
        return Fate.ENDED, "it is canceled"
    if source.cancel_at is not None or source.cancel_at_period_end:
        return Fate.ENDED, "it was cancelled for a time that has come"
    if source.status is SubscriptionStatus.PAST_DUE:
        return Fate.GRACE_OVER, "it is past_due, and the grace after its unpaid invoice is over"
    return Fate.LAPSED, f"it is {source.status.value}, and of a renewal after its paid period nothing was heard"


def _catalogue_obstacle(items: Sequence[Item], feature: FeatureCode, definition: Definition) -> Verdict | None:
    """Why the catalogue gives nothing of the feature for these items; None: it does."""
    named = [item for item in items if gives([item], feature, definition)]
    if any(item.quantity > 0 for item in named):
        if feature in definition.features:
            return None
        return Verdict(Fate.UNKNOWN_FEATURE, f"the catalogue has no feature {feature}")
    if named:
        return Verdict(Fate.NO_QUANTITY, "its quantity is 0")
    unplanned = [item.price_id for item in items if definition.plan_for(item.price_id, item.product_id) is None]
    unplaced = [price_id for price_id in unplanned if price_id not in definition.prices]
    if unplaced:
        return Verdict(Fate.NOT_PLACED, f"{', '.join(unplaced)} is in no catalogue: nobody says what it gives")
    if unplanned:
        return Verdict(Fate.NOT_IN_PLAN, f"the catalogue does not say what {', '.join(unplanned)} gives")
    sold = ", ".join(item.price_id for item in items)
    return Verdict(Fate.NOT_IN_PLAN, f"the catalogue in force does not let {sold} give {feature}")
