"""Why a source gives a feature or not agrees with what the rules give, and says what became of it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.clock import Instant
from common.identifiers import FeatureCode
from tests.unit.domain.test_entitle import (
    DAY,
    DEFINITION,
    EXPORT,
    GRACE,
    ITEM,
    NOW,
    PURCHASE,
    SEATS,
    START,
    SUBSCRIPTION,
)
from writer.domain import fate
from writer.domain.entitle import entitle
from writer.domain.fate import Fate, Rules
from writer.domain.sources import GrantSource, Item, Sources, SubscriptionSource, SubscriptionStatus

RULES = Rules(DEFINITION, GRACE, NOW)
GRANT = GrantSource("7", EXPORT, None, START, None)
LONG_AGO = Instant(NOW - 90 * DAY)


@pytest.mark.parametrize(
    ("changes", "expected", "words"),
    [
        ({}, Fate.COUNTS, "it is active"),
        ({"status": SubscriptionStatus.PAST_DUE, "unpaid_since": START}, Fate.COUNTS, "within its grace"),
        (
            {"status": SubscriptionStatus.PAST_DUE, "unpaid_since": LONG_AGO, "started_at": LONG_AGO},
            Fate.GRACE_OVER,
            "",
        ),
        ({"status": SubscriptionStatus.CANCELED, "ended_at": Instant(NOW - DAY)}, Fate.ENDED, "canceled"),
        ({"cancel_at": Instant(NOW - DAY)}, Fate.ENDED, "for a time that has come"),
        ({"items": (replace(ITEM, period_end=Instant(NOW - 9 * DAY)),)}, Fate.LAPSED, "nothing was heard"),
        ({"started_at": Instant(NOW + DAY)}, Fate.NOT_YET, "begins"),
        ({"status": SubscriptionStatus.UNPAID}, Fate.STATUS, "unpaid"),
        ({"status": SubscriptionStatus.INCOMPLETE}, Fate.STATUS, "incomplete"),
        ({"items": (replace(ITEM, quantity=0),)}, Fate.NO_QUANTITY, "0"),
        ({"items": (replace(ITEM, price_id="price_x"),)}, Fate.NOT_PLACED, "price_x"),
        ({"items": (replace(ITEM, price_id="price_old"),)}, Fate.NOT_IN_PLAN, "price_old"),
        ({"status": SubscriptionStatus.CANCELED, "ended_at": START}, Fate.ENDED, "as it began"),
    ],
)
def test_what_became_of_a_subscription(changes: dict[str, Any], expected: Fate, words: str) -> None:
    """Each way in which a subscription stops granting has a name, and words that say it."""
    verdict = fate.of_subscription(replace(SUBSCRIPTION, **changes), EXPORT, RULES)
    assert verdict.fate is expected
    assert words in verdict.words


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Fate.COUNTS),
        ({"settled": False}, Fate.NOT_PAID),
        ({"refunded": 999}, Fate.COUNTS),
        ({"refunded": 1_000}, Fate.REFUNDED),
        ({"dispute_lost": True}, Fate.DISPUTE_LOST),
        ({"lines": (Item("price_x", "prod_x", 1),)}, Fate.NOT_PLACED),
    ],
)
def test_what_became_of_a_purchase(changes: dict[str, Any], expected: Fate) -> None:
    """Paid, refunded in part or whole, disputed, of a price that nobody placed."""
    assert fate.of_purchase(replace(PURCHASE, **changes), EXPORT, RULES).fate is expected


def test_what_became_of_a_grant() -> None:
    """For a time, not yet, and of a feature that the catalogue has no more."""
    assert fate.of_grant(GRANT, EXPORT, RULES).fate is Fate.COUNTS
    assert fate.of_grant(replace(GRANT, valid_to=Instant(NOW - DAY)), EXPORT, RULES).fate is Fate.EXPIRED
    assert fate.of_grant(replace(GRANT, valid_from=Instant(NOW + DAY)), EXPORT, RULES).fate is Fate.NOT_YET
    gone = FeatureCode("gone")
    assert fate.of_grant(replace(GRANT, feature_code=gone), gone, RULES).fate is Fate.UNKNOWN_FEATURE


def test_a_value_is_told() -> None:
    """Of a limit, with the quantity bought."""
    verdict = fate.of_subscription(replace(SUBSCRIPTION, items=(replace(ITEM, quantity=3),)), SEATS, RULES)
    assert verdict.value == 15


MOMENTS = st.integers(-60, 60).map(lambda days: Instant(NOW + days * DAY))
SUBSCRIPTIONS = st.builds(
    SubscriptionSource,
    id=st.just("sub_1"),
    status=st.sampled_from(SubscriptionStatus),
    started_at=MOMENTS,
    items=st.lists(
        st.builds(
            Item, st.sampled_from(["price_pro", "price_old", "price_x"]), st.just("prod_1"), st.integers(0, 2), MOMENTS
        ),
        max_size=3,
    ).map(tuple),
    cancel_at=st.none() | MOMENTS,
    cancel_at_period_end=st.booleans(),
    first_period_end=st.none() | MOMENTS,
    ended_at=st.none() | MOMENTS,
    unpaid_since=st.none() | MOMENTS,
)


@given(SUBSCRIPTIONS, MOMENTS)
def test_it_counts_exactly_where_the_rules_grant(source: SubscriptionSource, moment: Instant) -> None:
    """Whatever a subscription is, `counts` is what a check would be answered from it alone."""
    rows = entitle(Sources(subscriptions=(source,)), DEFINITION, GRACE, moment)
    granted = any(
        row.feature_code == EXPORT and row.valid_from <= moment and (row.valid_to is None or moment < row.valid_to)
        for row in rows
    )
    verdict = fate.of_subscription(source, EXPORT, Rules(DEFINITION, GRACE, moment))
    assert (verdict.fate is Fate.COUNTS) is granted
    assert verdict.words
