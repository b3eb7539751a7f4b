"""The entitlement rules, case by case: what grants, from when, until when."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.catalogue import Catalogue, Combine, Feature, Kind
from common.clock import SECOND, Instant, parse_time
from common.decision import Decision, Reason, decide
from common.document import MAX_LIMIT, UNLIMITED, Entitlement, Source
from common.identifiers import FeatureCode, ProjectId
from writer.domain.catalogue import Definition, Origin, Plan, PlanFeature, PriceInfo, from_json, to_json
from writer.domain.entitle import KEEP_EXPIRED, Grace, entitle
from writer.domain.sources import (
    GrantSource,
    Item,
    PurchaseSource,
    Sources,
    SubscriptionSource,
    SubscriptionStatus,
)

HOUR = 3_600 * SECOND
DAY = 24 * HOUR
GRACE = Grace(entitlement=72 * HOUR, trial=HOUR, past_due=30 * DAY)
NOW = parse_time("2026-06-15T12:00:00Z")
START = Instant(NOW - 10 * DAY)
PERIOD_END = Instant(NOW + 20 * DAY)

EXPORT, SEATS, THEME = FeatureCode("export"), FeatureCode("seats"), FeatureCode("theme")
FEATURES = {
    EXPORT: Feature(EXPORT),
    SEATS: Feature(SEATS, Kind.LIMIT),
    THEME: Feature(THEME, Kind.CONFIG),
}
PRO = Plan(
    "price_pro", Origin.CATALOG, (PlanFeature(EXPORT), PlanFeature(SEATS, 5, per_unit=True), PlanFeature(THEME, "dark"))
)
DEFINITION = Definition(
    1,
    FEATURES,
    {(Origin.CATALOG, "price_pro"): PRO},
    {"price_pro": PriceInfo("prod_1"), "price_old": PriceInfo("prod_1")},
)
ITEM = Item("price_pro", "prod_1", 1, PERIOD_END)
SUBSCRIPTION = SubscriptionSource("sub_1", SubscriptionStatus.ACTIVE, START, (ITEM,), first_period_end=PERIOD_END)
PURCHASE = PurchaseSource(
    "cs_1",
    settled=True,
    completed_at=START,
    amount=1_000,
    refunded=0,
    dispute_lost=False,
    lines=(Item("price_pro", "prod_1", 1),),
)


def end_of(subscription: SubscriptionSource) -> Instant | str | None:
    """When `export` ends; "nothing" where it is not granted."""
    rows = entitle(Sources(subscriptions=(subscription,)), DEFINITION, GRACE, NOW)
    ends = [row.valid_to for row in rows if row.feature_code == EXPORT]
    return ends[0] if ends else "nothing"


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({}, PERIOD_END + 72 * HOUR),
        ({"status": SubscriptionStatus.TRIALING}, PERIOD_END + HOUR),
        ({"cancel_at_period_end": True}, PERIOD_END),
        ({"cancel_at": Instant(NOW + DAY)}, NOW + DAY),
        ({"cancel_at": Instant(PERIOD_END + 90 * DAY)}, PERIOD_END + 72 * HOUR),
        ({"status": SubscriptionStatus.PAST_DUE, "unpaid_since": Instant(NOW - DAY)}, NOW + 29 * DAY),
        ({"status": SubscriptionStatus.PAST_DUE, "unpaid_since": Instant(NOW - 31 * DAY)}, NOW - DAY),
        ({"status": SubscriptionStatus.PAST_DUE}, PERIOD_END + 72 * HOUR),
        ({"status": SubscriptionStatus.PAST_DUE, "unpaid_since": NOW, "cancel_at": Instant(NOW + 1)}, NOW + 1),
        ({"status": SubscriptionStatus.CANCELED, "ended_at": Instant(NOW - HOUR)}, NOW - HOUR),
        ({"status": SubscriptionStatus.INCOMPLETE}, "nothing"),
        ({"status": SubscriptionStatus.INCOMPLETE_EXPIRED}, "nothing"),
        ({"status": SubscriptionStatus.UNPAID}, "nothing"),
        ({"status": SubscriptionStatus.PAUSED}, "nothing"),
    ],
)
def test_subscription_grants_until(changes: dict[str, object], end: object) -> None:
    """Each status and stated end decides until when an item grants; a stated end is never prolonged by grace."""
    assert end_of(replace(SUBSCRIPTION, **changes)) == end  # type: ignore[arg-type]


def test_items_end_each_by_its_own_period() -> None:
    """Items of one subscription with different periods end at different times, but a period-end cancel ends all."""
    year = Item("price_pro", "prod_1", 1, Instant(NOW + 300 * DAY))
    both = replace(SUBSCRIPTION, items=(ITEM, year))
    rows = entitle(Sources(subscriptions=(both,)), DEFINITION, GRACE, NOW)
    assert {r.valid_to for r in rows} == {PERIOD_END + 72 * HOUR, NOW + 300 * DAY + 72 * HOUR}
    rows = entitle(Sources(subscriptions=(replace(both, cancel_at_period_end=True),)), DEFINITION, GRACE, NOW)
    assert {r.valid_to for r in rows} == {PERIOD_END}


@pytest.mark.parametrize(
    ("changes", "granted"),
    [
        ({}, True),
        ({"settled": False}, False),
        ({"refunded": 999}, True),
        ({"refunded": 1_000}, False),
        ({"amount": 0}, True),
        ({"dispute_lost": True}, False),
    ],
)
def test_purchase_grants_while_it_is_kept(changes: dict[str, object], granted: bool) -> None:
    """A purchase grants once settled, until refunds reach its amount or a dispute is lost."""
    purchase = replace(PURCHASE, **changes)  # type: ignore[arg-type]
    assert bool(entitle(Sources(purchases=(purchase,)), DEFINITION, GRACE, NOW)) is granted


def test_purchase_lasts_for_life_or_for_the_days_of_its_price() -> None:
    """Without `grant_days` a purchase has no end; with them it ends that many days after it was completed."""
    rows = entitle(Sources(purchases=(PURCHASE,)), DEFINITION, GRACE, NOW)
    assert {r.valid_to for r in rows} == {None}
    dated = replace(DEFINITION, prices={"price_pro": PriceInfo("prod_1", grant_days=30)})
    rows = entitle(Sources(purchases=(PURCHASE,)), dated, GRACE, NOW)
    assert {r.valid_to for r in rows} == {START + 30 * DAY}


def test_quantity_multiplies_only_what_is_per_unit_and_zero_grants_nothing() -> None:
    """Ten units give ten times the seats, one theme; no unit gives nothing."""
    rows = entitle(
        Sources(subscriptions=(replace(SUBSCRIPTION, items=(replace(ITEM, quantity=10),)),)), DEFINITION, GRACE, NOW
    )
    assert {r.feature_code: r.value for r in rows} == {EXPORT: None, SEATS: 50, THEME: "dark"}
    assert end_of(replace(SUBSCRIPTION, items=(replace(ITEM, quantity=0),))) == "nothing"


def test_a_limit_times_a_quantity_stays_one_that_documents_may_hold() -> None:
    """A terabyte a seat, in bytes, for ten thousand seats: the greatest limit there is, not a document nobody reads."""
    plan = replace(PRO, features=(PlanFeature(SEATS, 2**40, per_unit=True),))
    definition = replace(DEFINITION, plans={(Origin.CATALOG, "price_pro"): plan})
    many = replace(SUBSCRIPTION, items=(replace(ITEM, quantity=10_000),))
    (row,) = entitle(Sources(subscriptions=(many,)), definition, GRACE, NOW)
    assert row.value == MAX_LIMIT


def test_catalogue_speaks_before_stripe_and_price_before_product() -> None:
    """The first plan that speaks for a price counts, also where it grants nothing."""
    silent = Plan("prod_1", Origin.CATALOG)
    stripe = Plan("price_old", Origin.STRIPE, (PlanFeature(EXPORT),))
    plans = {(p.origin, p.target): p for p in (PRO, silent, stripe)}
    definition = replace(DEFINITION, plans=plans)
    assert definition.plan_for("price_pro", "prod_1") is PRO
    assert definition.plan_for("price_old", "prod_1") is silent
    assert replace(DEFINITION, plans={(Origin.STRIPE, "price_old"): stripe}).plan_for("price_old", "prod_1") is stripe
    assert definition.unlocked_by() == dict.fromkeys((EXPORT, SEATS, THEME), ("price_pro",))


def test_configuration_is_taken_from_the_highest_rank_then_the_newest() -> None:
    """Where configurations conflict the document's order decides: an operator's word, then rank, then the newest."""
    low = Plan("price_low", Origin.CATALOG, (PlanFeature(THEME, "light"),), rank=1)
    high = Plan("price_high", Origin.CATALOG, (PlanFeature(THEME, "gold"),), rank=2)
    definition = Definition(1, FEATURES, {(p.origin, p.target): p for p in (low, high)})
    old, new = Instant(NOW - 9 * DAY), Instant(NOW - DAY)

    def bought(ref: str, price: str, at: Instant) -> PurchaseSource:
        return replace(PURCHASE, id=ref, completed_at=at, lines=(Item(price, "prod_1", 1),))

    def values(*purchases: PurchaseSource, grants: tuple[GrantSource, ...] = ()) -> list[object]:
        return [r.value for r in entitle(Sources(purchases=purchases, grants=grants), definition, GRACE, NOW)]

    assert values(bought("cs_a", "price_low", new), bought("cs_b", "price_high", old)) == ["gold", "light"]
    assert values(bought("cs_a", "price_low", old), bought("cs_b", "price_low", new))[0] == "light"
    by_hand = GrantSource("1", THEME, "blue", old, None)
    assert values(bought("cs_b", "price_high", old), grants=(by_hand,)) == ["blue", "gold"]


def test_long_expired_rows_are_left_out() -> None:
    """A row that ended is kept for 30 days, so that an answer can say `expired`."""
    ended = replace(SUBSCRIPTION, status=SubscriptionStatus.CANCELED, ended_at=NOW)
    sources = Sources(subscriptions=(ended,))
    assert entitle(sources, DEFINITION, GRACE, Instant(NOW + KEEP_EXPIRED - 1))
    assert not entitle(sources, DEFINITION, GRACE, Instant(NOW + KEEP_EXPIRED))


def test_definition_survives_its_json() -> None:
    """What `catalog_versions` holds reads back as it was."""
    assert from_json(to_json(DEFINITION)) == DEFINITION


# --- decisions over documents ---


def row(feature: FeatureCode, value: object = None, start: int = -1, end: int | None = 1) -> Entitlement:
    """A row valid from `start` to `end` days around now."""
    to = None if end is None else Instant(NOW + end * DAY)
    return Entitlement(feature, Source.MANUAL, "1", Instant(NOW + start * DAY), to, value)  # type: ignore[arg-type]


def ask(feature: FeatureCode, *rows: Entitlement, **feature_changes: object) -> Decision:
    """The decision on `feature` now."""
    features = dict(FEATURES)
    if feature_changes:
        features[feature] = replace(FEATURES[feature], **feature_changes)  # type: ignore[arg-type]
    catalogue = Catalogue(ProjectId("p"), 1, 1, 1, features, {EXPORT: ("price_pro",)})
    return decide(rows, feature, catalogue, NOW)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ((), Reason.NOT_GRANTED),
        ((row(EXPORT),), Reason.GRANTED),
        ((row(EXPORT, end=None),), Reason.GRANTED),
        ((row(EXPORT, start=-3, end=-1),), Reason.EXPIRED),
        ((row(EXPORT, start=1, end=2),), Reason.NOT_YET_VALID),
        ((row(EXPORT, start=-3, end=-1), row(EXPORT)), Reason.GRANTED),
        ((row(EXPORT, start=-3, end=0),), Reason.EXPIRED),
        ((row(EXPORT, start=0),), Reason.GRANTED),
    ],
)
def test_reason_follows_time(rows: tuple[Entitlement, ...], reason: Reason) -> None:
    """A row holds from its first instant to just before its last; a denial says why and what would unlock it."""
    decision = ask(EXPORT, *rows)
    assert decision.reason is reason
    assert decision.allowed is (reason is Reason.GRANTED)
    assert decision.unlocked_by == (() if decision.allowed else ("price_pro",))


def test_limits_combine_as_the_catalogue_says() -> None:
    """Limits take the greatest or the sum; unlimited always wins; 0 allows nothing."""
    rows = (row(SEATS, 3, end=5), row(SEATS, 10))
    assert ask(SEATS, *rows).value == 10
    assert ask(SEATS, *rows, combine=Combine.SUM).value == 13
    assert ask(SEATS, *rows, combine=Combine.SUM).valid_to == NOW + DAY
    assert ask(SEATS, *rows, row(SEATS, UNLIMITED)).value == UNLIMITED
    assert not ask(SEATS, row(SEATS, 0)).allowed


def test_defaults_are_for_everybody() -> None:
    """A feature's default answers where no source grants it, and says so."""
    assert ask(SEATS, default=2) == Decision(allowed=True, reason=Reason.GRANTED, value=2, source="default")
    assert ask(EXPORT, default=True).source == "default"
    assert ask(SEATS, row(SEATS, 1), default=2).value == 1


def test_unknown_feature_is_denied() -> None:
    """A feature that the catalogue does not know is denied with a reason of its own."""
    assert ask(FeatureCode("exprot"), row(EXPORT)).reason is Reason.UNKNOWN_FEATURE


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(1, 5), st.integers(0, 9)), max_size=6), st.data())
def test_revoking_one_source_never_takes_what_another_gives(
    spans: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    """Under `max`, leaving out one row never lowers the answer below what any other active row gives alone."""
    rows = [row(SEATS, value, start, start + length) for start, length, value in spans]
    gone = data.draw(st.integers(0, len(rows)))
    kept = rows[:gone] + rows[gone + 1 :]
    best = max([d.value for r in kept if type((d := ask(SEATS, r)).value) is int], default=0)
    answer = ask(SEATS, *kept).value
    assert (answer if type(answer) is int else 0) == best
