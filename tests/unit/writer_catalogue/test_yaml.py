"""catalog.yaml: what is read, and every fault with its path."""

import pytest

from common.catalogue import Combine, Kind, OnStale
from common.identifiers import FeatureCode, ProjectId
from writer.catalogue.yaml import CatalogFileError, load
from writer.domain.catalogue import Origin, PlanFeature

GOOD = """
version: 1
projects:
  shop:
    name: The shop
    features:
      pro: {name: Pro, default: false}
      free: {default: true}
      seats: {kind: limit, default: 1, combine: sum, on_stale: deny}
      theme: {kind: config, default: {dark: false}}
    plans:
      price_1: {rank: 2, features: {pro: true, seats: {value: 5, per_unit: true}, theme: plain}}
      prod_2: {features: [pro, free]}
      price_3: {features: []}
  blog: {}
"""


def test_a_whole_file_is_read() -> None:
    """Kinds, defaults, combining, values in both forms, and a plan that grants nothing."""
    projects = load(GOOD)
    shop = projects[ProjectId("shop")]
    features = {code: one.feature for code, one in shop.features.items()}
    assert shop.name == "The shop"
    assert (features[FeatureCode("free")].default, features[FeatureCode("pro")].default) == (True, None)
    seats = features[FeatureCode("seats")]
    assert (seats.kind, seats.default, seats.combine, seats.on_stale) == (Kind.LIMIT, 1, Combine.SUM, OnStale.DENY)
    plan = shop.plans["price_1"]
    assert (plan.rank, plan.origin) == (2, Origin.CATALOG)
    assert plan.features == (
        PlanFeature(FeatureCode("pro")),
        PlanFeature(FeatureCode("seats"), 5, per_unit=True),
        PlanFeature(FeatureCode("theme"), "plain"),
    )
    assert shop.plans["price_3"].features == ()
    assert projects[ProjectId("blog")].features == {}


PROJECT = "version: 1\nprojects:\n  shop:\n    features: {pro: {}, seats: {kind: limit}, theme: {kind: config}}\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "catalog: must be a mapping"),
        ("[]", "catalog: must be a mapping"),
        ("a: [", "catalog: line 1, column 5: expected the node content, but found '<stream end>'"),
        ("version: 1\nversion: 1\nprojects: {}", "catalog: line 2, column 1: 'version' is there twice"),
        ("version: 1\nprojects: {a: &x {}, b: *x}", "anchors and aliases are not read"),
        ("version: 2\nprojects: {}", "version: must be 1"),
        ("version: true\nprojects: {}", "version: must be 1"),
        ("version: 1", "projects: is missing"),
        ("version: 1\nproject: {}", "project: is not known, did you mean projects?"),
        ("version: 1\nprojects: []", "projects: must be a mapping"),
        ("version: 1\nprojects: {a b: {}}", "projects.a b: project_id must have 1 to 64 characters"),
        ("version: 1\nprojects: {5: {}}", "projects: 5 is no text; put it in quotes"),
        ("version: 1\nprojects: {on: {}}", "projects: True is no text; put it in quotes"),
        ("version: 1\nprojects: {shop: {plan: {}}}", "projects.shop.plan: is not known, did you mean plans?"),
        ("version: 1\nprojects: {shop: {name: 5}}", "projects.shop.name: must be a text"),
        ('version: 1\nprojects: {shop: {name: "a\\0b"}}', "projects.shop.name: must be a text"),
        ("version: 1\nprojects: {shop: {features: {a: {kind: limt}}}}", "did you mean limit?"),
        ("version: 1\nprojects: {shop: {features: {a: {combine: sum}}}}", "a.combine: is for limits only"),
        ("version: 1\nprojects: {shop: {features: {a: {default: 5}}}}", "a.default: a plain feature's default"),
        ("version: 1\nprojects: {shop: {features: {a: {kind: limit, default: -1}}}}", "a.default: a limit is"),
        ("version: 1\nprojects: {shop: {features: {a: {on_stale: fail}}}}", "must be one of serve, deny, allow"),
        (PROJECT + "    plans: {gold: {features: [pro]}}", "plans.gold: a plan stands under a Stripe price_"),
        (PROJECT + "    plans: {price_1: {}}", "price_1: features is missing"),
        (PROJECT + "    plans: {price_1: {features: [por]}}", "features.por: is no feature of this project, did you"),
        (PROJECT + "    plans: {price_1: {features: [pro, pro]}}", "features[1]: pro is there twice"),
        (PROJECT + "    plans: {price_1: {features: [5]}}", "features[0]: must be a feature's code"),
        (PROJECT + "    plans: {price_1: {features: [seats]}}", "features.seats: a limit is a whole number"),
        (PROJECT + "    plans: {price_1: {features: {pro: 5}}}", "features.pro: a plain feature has no value; write"),
        (PROJECT + "    plans: {price_1: {features: {pro: {per_unit: true}}}}", "pro.per_unit: is for limits"),
        (PROJECT + "    plans: {price_1: {features: {seats: {valeu: 5}}}}", "valeu: is not known, did you mean value?"),
        (PROJECT + "    plans: {price_1: {features: {seats: {value: unlimited, per_unit: true}}}}", "per_unit: is for"),
        (PROJECT + "    plans: {price_1: {features: {theme: 2026-01-01}}}", "theme: a configuration is text"),
        (PROJECT + "    plans: {price_1: {features: {theme: {value: {a: .nan}}}}}", "a configuration holds only"),
        (PROJECT + "    plans: {price_1: {rank: 1.5, features: []}}", "price_1.rank: must be a whole number"),
        ("version: 1\nprojects: {" + "#" * 1_100_000 + "\n}", "catalog: the file may have"),
    ],
)
def test_a_fault_names_its_path_and_what_is_allowed(text: str, fault: str) -> None:
    """Each wrong file has its own words."""
    with pytest.raises(CatalogFileError) as raised:
        load(text)
    assert fault in str(raised.value)


def test_all_faults_come_at_once() -> None:
    """One run shows everything that is to be mended."""
    text = "version: 3\nprojects: {shop: {features: {a: {kind: x}, b: {name: ''}}, plans: {p: {features: [c]}}}}"
    with pytest.raises(CatalogFileError) as raised:
        load(text)
    assert len(raised.value.faults) == 5
