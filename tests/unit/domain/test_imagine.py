"""What a user's sources would be after an act, and when it takes effect."""

from dataclasses import replace

import pytest

from common.clock import Instant, format_time, parse_time
from tests.unit.domain.test_entitle import DAY, EXPORT, NOW, PERIOD_END, PURCHASE, SUBSCRIPTION
from writer.domain.imagine import Buy, Cancel, Grant, NotHeldError, Refund, Revoke, after, imagine
from writer.domain.sources import GrantSource, Sources, SubscriptionStatus

HELD = Sources((SUBSCRIPTION,), (PURCHASE,), (GrantSource("7", EXPORT, None, NOW, None),))


def test_what_is_bought_comes_beside_what_is_held() -> None:
    """Once: a purchase; recurring: a subscription to the end of its first period."""
    once = imagine(HELD, Buy("price_1", "prod_1", 2), NOW)
    assert (once.sources.purchases[1].lines[0].quantity, once.takes_effect_at) == (2, NOW)
    monthly = imagine(HELD, Buy("price_1", "prod_1", interval="month"), NOW).sources.subscriptions
    assert [one.id for one in monthly] == ["sub_1", "new"]
    assert monthly[1].first_period_end == parse_time("2026-07-15T12:00:00Z")


def test_a_cancellation_is_now_or_at_the_period_end() -> None:
    """At the end it takes effect then; of one that is over nothing changes; another's is refused."""
    later = imagine(HELD, Cancel("sub_1"), NOW)
    assert (later.sources.subscriptions[0].cancel_at_period_end, later.takes_effect_at) == (True, PERIOD_END)
    at_once = imagine(HELD, Cancel("sub_1", at_once=True), NOW)
    assert (at_once.sources.subscriptions[0].ended_at, at_once.takes_effect_at) == (NOW, NOW)
    over = Sources((replace(SUBSCRIPTION, status=SubscriptionStatus.CANCELED),))
    assert imagine(over, Cancel("sub_1"), NOW).sources == over
    with pytest.raises(NotHeldError):
        imagine(HELD, Cancel("sub_2"), NOW)


def test_a_refund_is_of_all_or_of_a_part() -> None:
    """Never of more than was paid; another's is refused."""
    held = Sources(purchases=(replace(PURCHASE, refunded=400),))
    refunds = (Refund("cs_1"), Refund("cs_1", 100), Refund("cs_1", 9_000))
    assert [imagine(held, act, NOW).sources.purchases[0].refunded for act in refunds] == [1_000, 500, 1_000]
    with pytest.raises(NotHeldError):
        imagine(held, Refund("cs_2"), NOW)


def test_grants_come_and_go() -> None:
    """One that begins later takes effect then; revoked is one by its id, or all of a feature."""
    later = Instant(NOW + DAY)
    given = imagine(HELD, Grant(EXPORT, valid_from=later), NOW)
    assert (len(given.sources.grants), given.takes_effect_at) == (2, later)
    for act, left in ((Revoke(grant_id="7"), 0), (Revoke(feature=EXPORT), 0), (Revoke(grant_id="8"), 1)):
        assert len(imagine(HELD, act, NOW).sources.grants) == left


@pytest.mark.parametrize(
    ("start", "interval", "count", "end"),
    [
        ("2026-01-31T10:00:00Z", "month", 1, "2026-02-28T10:00:00Z"),
        ("2026-11-30T10:00:00Z", "month", 3, "2027-02-28T10:00:00Z"),
        ("2024-02-29T10:00:00Z", "year", 1, "2025-02-28T10:00:00Z"),
        ("2026-12-31T10:00:00Z", "week", 2, "2027-01-14T10:00:00Z"),
        ("2026-12-31T10:00:00Z", "day", 1, "2027-01-01T10:00:00Z"),
    ],
)
def test_periods_end_as_at_stripe(start: str, interval: str, count: int, end: str) -> None:
    """On the same day, or on the month's last."""
    assert format_time(after(parse_time(start), interval, count)) == end
