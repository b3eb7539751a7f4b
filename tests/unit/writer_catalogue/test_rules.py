"""Stripe's metadata as a catalogue, and what one version changes against another."""

import pytest

from common.catalogue import Combine, Feature, Kind
from common.identifiers import FeatureCode
from writer.catalogue import changes
from writer.catalogue.stripe_metadata import grant_days, plans_and_features, write
from writer.domain.catalogue import Definition, Origin, Plan, PlanFeature, PriceInfo, from_json, to_json

PRO, SEATS = FeatureCode("pro"), FeatureCode("seats")


@pytest.mark.parametrize(
    ("text", "granted"),
    [
        ("", ()),
        (" , ", ()),
        ("pro", (PlanFeature(PRO),)),
        ("pro, pro", (PlanFeature(PRO),)),
        (" seats = 5 ,pro", (PlanFeature(PRO), PlanFeature(SEATS, 5))),
        ("seats=unlimited", (PlanFeature(SEATS, "unlimited"),)),
        ("seats", ()),
        ("seats=-1, seats=x, a b, =5, pro", (PlanFeature(PRO),)),
        ("pro=5", (PlanFeature(PRO),)),
        ("seats=9007199254740992", ()),
        (",", ()),
        ("seats=5/unit", (PlanFeature(SEATS, 5, per_unit=True),)),
        ("seats = 5 /unit", (PlanFeature(SEATS, 5, per_unit=True),)),
        ("seats=unlimited/unit, seats=/unit", ()),
    ],
)
def test_feature_codes_with_what_is_declared(text: str, granted: tuple[PlanFeature, ...]) -> None:
    """The declared kind decides; what does not fit is passed over and never raises."""
    known = {PRO: Feature(PRO), SEATS: Feature(SEATS, Kind.LIMIT)}
    plans, added = plans_and_features({"price_1": text}, known)
    assert (plans["price_1"].features, added) == (granted, {})


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ((), ","),
        ((PlanFeature(PRO), PlanFeature(SEATS, 5)), "pro, seats=5"),
        ((PlanFeature(SEATS, 5, per_unit=True),), "seats=5/unit"),
        ((PlanFeature(SEATS, "unlimited"),), "seats=unlimited"),
        ((PlanFeature(SEATS, 0),), "seats=0"),
    ],
)
def test_what_is_written_is_read_back(features: tuple[PlanFeature, ...], words: str) -> None:
    """A plan as `feature_codes`, and the plan that comes of it."""
    known = {PRO: Feature(PRO), SEATS: Feature(SEATS, Kind.LIMIT)}
    assert write(Plan("price_1", Origin.CATALOG, features), known) == (words, [])
    assert plans_and_features({"price_1": words}, known)[0]["price_1"].features == features


def test_an_unknown_code_becomes_a_feature() -> None:
    """A limit where any price gives it a number, else plain; a mention without number then grants nothing."""
    plans, added = plans_and_features({"price_1": "seats=5,pro", "price_2": "seats"}, {})
    assert {code: feature.kind for code, feature in added.items()} == {PRO: Kind.PLAIN, SEATS: Kind.LIMIT}
    assert plans["price_2"].features == ()


def test_attached_features_join_what_metadata_names() -> None:
    """They are plain; the text's value holds where both name one; what is a limit elsewhere needs a value here too."""
    attached = {"prod_1": (PRO, SEATS), "prod_2": (PRO, SEATS), "prod_3": ()}
    plans, added = plans_and_features({"prod_1": "seats=5, pro", "prod_3": ","}, {}, attached)
    assert {target: plan.features for target, plan in plans.items()} == {
        "prod_1": (PlanFeature(PRO), PlanFeature(SEATS, 5)),
        "prod_2": (PlanFeature(PRO),),
        "prod_3": (),
    }
    assert {code: feature.kind for code, feature in added.items()} == {PRO: Kind.PLAIN, SEATS: Kind.LIMIT}


@pytest.mark.parametrize(
    ("own", "products", "days"),
    [({}, {}, None), ({"grant_days": "30"}, {"grant_days": "9"}, 30), ({}, {"grant_days": " 9 "}, 9)]
    + [({"grant_days": bad}, {}, None) for bad in ("", "0", "-1", "x", "99999999", "1.5", "²")],
)
def test_grant_days(own: dict[str, str], products: dict[str, str], days: int | None) -> None:
    """The price's word, then its product's; what is no sensible number is for life."""
    assert grant_days(own, products) == days


def definition(
    *plans: Plan, days: int | None = None, kind: Kind = Kind.PLAIN, default: bool | None = None
) -> Definition:
    """A version with these plans."""
    features = {PRO: Feature(PRO, kind, default)}
    prices = {"price_1": PriceInfo("prod_1", active=True, grant_days=days)}
    return Definition(1, features, {(plan.origin, plan.target): plan for plan in plans}, prices)


PLAN = Plan("price_1", Origin.CATALOG, (PlanFeature(PRO),))


@pytest.mark.parametrize(
    ("old", "new", "targets"),
    [
        (definition(PLAN), definition(PLAN), []),
        (definition(PLAN), definition(PLAN, default=True), []),
        (definition(), definition(PLAN), ["price_1"]),
        (definition(PLAN), definition(), ["price_1"]),
        (definition(PLAN), definition(PLAN, days=3), ["price_1"]),
        (definition(PLAN), definition(PLAN, kind=Kind.CONFIG), ["feature:pro", "price_1"]),
        (Definition(1), definition(), ["feature:pro"]),
    ],
)
def test_whom_a_version_concerns(old: Definition, new: Definition, targets: list[str]) -> None:
    """Only what documents hold: defaults are judged when answering."""
    assert changes.targets(old, new) == targets


def test_what_is_told_of_a_change() -> None:
    """Each feature of a plan with what it was and will be; a changed rank by itself."""
    seats = Plan("price_1", Origin.CATALOG, (PlanFeature(SEATS, 5, per_unit=True),), rank=1)
    told = [
        (one.feature_code, one.effect.value, one.before, one.after)
        for one in changes.plan_changes(definition(PLAN), definition(seats))
    ]
    assert told == [
        (PRO, "removed", "pro", None),
        (SEATS, "added", None, "seats 5 per unit"),
        (None, "changed", "rank 0", "rank 1"),
    ]


def test_a_configuration_is_described_as_json() -> None:
    """As it would be written in catalog.yaml, not as Python prints it."""
    assert changes.describe("theme", {"dark": True, "ink": None}) == 'theme {"dark":true,"ink":null}'


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [
        (Feature(PRO), None, Feature(PRO)),
        (Feature(PRO), Feature(PRO, default=True), None),
        (Feature(PRO, default=True), Feature(PRO), Feature(PRO, default=True)),
        (Feature(PRO, Kind.LIMIT, 5), Feature(PRO, Kind.LIMIT, 3), Feature(PRO, Kind.LIMIT, 5)),
        (Feature(PRO, Kind.LIMIT, 5), Feature(PRO, Kind.LIMIT, "unlimited"), None),
        (
            Feature(PRO, Kind.LIMIT, combine=Combine.SUM),
            Feature(PRO, Kind.LIMIT),
            Feature(PRO, Kind.LIMIT, combine=Combine.SUM),
        ),
        (Feature(PRO, Kind.LIMIT), Feature(PRO, Kind.LIMIT, combine=Combine.SUM), None),
        (Feature(PRO), Feature(PRO, Kind.LIMIT, 3), Feature(PRO, default=True)),
        (Feature(PRO, Kind.LIMIT), Feature(PRO), None),
        (Feature(PRO, Kind.CONFIG, "a"), Feature(PRO, Kind.CONFIG, "b"), None),
        (Feature(PRO, Kind.CONFIG, "a"), Feature(PRO, Kind.CONFIG), Feature(PRO, Kind.CONFIG, "a")),
    ],
)
def test_what_is_removed_is_held_over(before: Feature, after: Feature | None, held: Feature | None) -> None:
    """A feature that goes, and the wider of two kinds, defaults and combining rules; nothing where more is given."""
    old = Definition(1, {PRO: before})
    new = Definition(2, {} if after is None else {PRO: after})
    found = changes.held_over(old, new)
    assert found == ({} if held is None else {PRO: held})
    kept = Definition(2, new.features, held_over=found)
    assert from_json(to_json(kept)) == kept
    assert changes.held_over(kept, new) == found
