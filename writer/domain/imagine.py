"""What a user's sources would be after an act: a purchase, a cancellation, a refund, a grant, a revocation. Pure."""

from calendar import monthrange
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from common.clock import Instant, from_datetime, to_datetime
from common.document import Value
from common.identifiers import FeatureCode
from writer.domain.sources import (
    GrantSource,
    Item,
    PurchaseSource,
    Sources,
    SubscriptionSource,
    SubscriptionStatus,
)

NEW: Final = "new"
"""The id of what does not exist yet; it sorts before every id of Stripe's."""

_MONTHS: Final = {"month": 1, "year": 12}
_OPEN: Final = frozenset(SubscriptionStatus) - {SubscriptionStatus.CANCELED, SubscriptionStatus.INCOMPLETE_EXPIRED}


class NotHeldError(LookupError):
    """The user holds nothing of that id; the argument is the id."""


@dataclass(frozen=True, slots=True)
class Buy:
    """A price is bought now. `interval` None: once; `count` of them are a period."""

    price_id: str
    product_id: str
    quantity: int = 1
    interval: str | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Cancel:
    """A subscription is cancelled: now, or at the end of its period."""

    subscription_id: str
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Refund:
    """Money for a purchase is given back; `amount` None: all that was not yet."""

    purchase_id: str
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """A feature is given by hand. `valid_from` None is now, `valid_to` None is for life."""

    feature: FeatureCode
    value: Value = None
    valid_from: Instant | None = None
    valid_to: Instant | None = None


@dataclass(frozen=True, slots=True)
class Revoke:
    """Grants are taken back: one by its id, or all of a feature."""

    grant_id: str | None = None
    feature: FeatureCode | None = None


Act = Buy | Cancel | Refund | Grant | Revoke


@dataclass(frozen=True, slots=True)
class Imagined:
    """The sources after an act, and when it takes effect."""

    sources: Sources
    takes_effect_at: Instant


def imagine(held: Sources, act: Act, now: Instant) -> Imagined:
    """What there would be. NotHeldError where the act is about something that the user does not hold."""
    match act:
        case Buy():
            return Imagined(_bought(held, act, now), now)
        case Cancel():
            return _cancelled(held, act, now)
        case Refund():
            return Imagined(_refunded(held, act), now)
        case Grant():
            start = now if act.valid_from is None else act.valid_from
            grant = GrantSource(NEW, act.feature, act.value, start, act.valid_to)
            return Imagined(replace(held, grants=(*held.grants, grant)), max(start, now))
        case Revoke():
            left = tuple(one for one in held.grants if one.id != act.grant_id and one.feature_code != act.feature)
            return Imagined(replace(held, grants=left), now)


def _bought(held: Sources, act: Buy, now: Instant) -> Sources:
    if act.interval is None:
        line = Item(act.price_id, act.product_id, act.quantity)
        purchase = PurchaseSource(NEW, True, now, 0, 0, dispute_lost=False, lines=(line,))
        return replace(held, purchases=(*held.purchases, purchase))
    end = after(now, act.interval, act.count)
    item = Item(act.price_id, act.product_id, act.quantity, end)
    subscription = SubscriptionSource(NEW, SubscriptionStatus.ACTIVE, now, (item,), first_period_end=end)
    return replace(held, subscriptions=(*held.subscriptions, subscription))


def _cancelled(held: Sources, act: Cancel, now: Instant) -> Imagined:
    found = next((one for one in held.subscriptions if one.id == act.subscription_id), None)
    if found is None:
        raise NotHeldError(act.subscription_id)
    if found.status not in _OPEN:
        return Imagined(held, now)
    end = found.first_period_end
    if act.at_once or end is None or end <= now:
        changed, moment = replace(found, status=SubscriptionStatus.CANCELED, ended_at=now), now
    else:
        changed, moment = replace(found, cancel_at_period_end=True), end
    subscriptions = tuple(changed if one is found else one for one in held.subscriptions)
    return Imagined(replace(held, subscriptions=subscriptions), moment)


def _refunded(held: Sources, act: Refund) -> Sources:
    found = next((one for one in held.purchases if one.id == act.purchase_id), None)
    if found is None:
        raise NotHeldError(act.purchase_id)
    left = found.amount - found.refunded
    given = left if act.amount is None else min(act.amount, left)
    changed = replace(found, refunded=found.refunded + given)
    return replace(held, purchases=tuple(changed if one is found else one for one in held.purchases))


def after(start: Instant, interval: str, count: int) -> Instant:
    """When `count` days, weeks, months or years are over, as Stripe counts: on the same day, or the month's last."""
    moment = to_datetime(start)
    if interval in _MONTHS:
        months = moment.month - 1 + _MONTHS[interval] * count
        year, month = moment.year + months // 12, months % 12 + 1
        return from_datetime(moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1])))
    return from_datetime(moment + timedelta(days=(7 if interval == "week" else 1) * count))
