"""What the town's shops sell: products and prices, and what two projects declare that buying them grants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

PROJECTS: Final = ("alpha", "beta")


@dataclass(frozen=True, slots=True)
class Price:
    """A price of a product; `interval` None is a one-time price."""

    product: str
    cents: int
    interval: str | None
    metadata: Mapping[str, str] = field(default_factory=dict)


PRODUCTS: Final[Mapping[str, Mapping[str, str]]] = {
    "pro": {},
    "basic": {},
    "addon": {"project_id": "alpha"},
    "lasting": {"project_id": "alpha"},
    "ticket": {},
    "star": {"project_id": "beta", "feature_codes": "stars, seats=3"},
    "stranger": {},
}
"""Metadata by the product's name."""

PRICES: Final[Mapping[str, Price]] = {
    "pro_month": Price("pro", 2_000, "month"),
    "pro_year": Price("pro", 20_000, "year"),
    "basic_month": Price("basic", 500, "month", {"project_id": "alpha", "feature_codes": "reading, seats=2"}),
    "basic_week": Price("basic", 200, "week", {"project_id": "alpha", "feature_codes": "reading"}),
    "addon_month": Price("addon", 300, "month"),
    "lasting": Price("lasting", 9_900, None),
    "ticket": Price("ticket", 700, None, {"project_id": "alpha", "feature_codes": "storage=5", "grant_days": "30"}),
    "star_month": Price("star", 1_100, "month"),
    "star_life": Price("star", 15_000, None),
    "stranger_month": Price("stranger", 100, "month"),
}

RECURRING: Final = tuple(name for name, price in PRICES.items() if price.interval)
ONE_TIME: Final = tuple(name for name, price in PRICES.items() if not price.interval)

FEATURES: Final[Mapping[str, tuple[Any, ...]]] = {
    "export": (None,),
    "seats": (3, 50, "unlimited", 0),
    "storage": (1, 40),
    "theme": ("red", {"color": "blue"}),
}
"""Features of alpha that are also given by hand, with the values they are given."""

_FEATURES: Final = {
    "export": {"kind": "plain"},
    "reading": {"kind": "plain"},
    "archive": {"kind": "plain"},
    "seats": {"kind": "limit", "default": 1},
    "storage": {"kind": "limit", "combine": "sum"},
    "theme": {"kind": "config", "default": "plain"},
}

_ALPHA: Final[dict[str, Any]] = {
    "pro": {"rank": 10, "features": {"export": True, "seats": {"value": 5, "per_unit": True}, "theme": "dark"}},
    "pro_year": {"rank": 15, "features": {"export": True, "seats": "unlimited", "theme": "black"}},
    "addon_month": {"features": {"storage": {"value": 10, "per_unit": True}}},
    "lasting": {"rank": 20, "features": {"archive": True, "storage": 100, "theme": {"value": {"color": "gold"}}}},
}


def _alpha(features: Mapping[str, Any] | None = None, **plans: Any) -> dict[str, Any]:
    chosen = {name: plan for name, plan in {**_ALPHA, **plans}.items() if plan is not None}
    return {"features": {**_FEATURES, **(features or {})}, "plans": chosen}


CATALOGUES: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "alpha": ("alpha", _alpha()),
    "alpha_without_export": ("alpha", _alpha(pro={"rank": 10, "features": {"seats": 5, "theme": "dark"}})),
    "alpha_with_seats": ("alpha", _alpha(pro={"rank": 10, "features": {"export": True, "seats": 9, "theme": "dim"}})),
    "alpha_gold_last": ("alpha", _alpha(lasting={**_ALPHA["lasting"], "rank": -1})),
    "alpha_adds_seats": ("alpha", _alpha({"seats": {"kind": "limit", "default": 1, "combine": "sum"}})),
    "alpha_speaks_for_basic": ("alpha", _alpha(basic_month={"features": ["reading", "export"]})),
    "alpha_without_addon": ("alpha", _alpha(addon_month=None)),
    "beta": ("beta", {"features": {}, "plans": {}}),
    "beta_knows_stars": ("beta", {"features": {"stars": {"kind": "plain", "default": True}}, "plans": {}}),
    "beta_takes_pro_month": (
        "beta",
        {"features": {"export": {"kind": "plain"}}, "plans": {"pro_month": {"features": ["export"]}}},
    ),
}
"""Catalogues by name: whose, and the body that declares it, with names where Stripe's ids go."""

PRICE_EDITS: Final = (
    ("basic_month", "feature_codes", "reading, seats=4, storage=1"),
    ("basic_month", "feature_codes", "reading"),
    ("basic_month", "project_id", "beta"),
    ("basic_month", "project_id", "alpha"),
    ("basic_week", "project_id", ""),
    ("basic_week", "project_id", "alpha"),
    ("ticket", "grant_days", "60"),
    ("ticket", "grant_days", ""),
    ("star_month", "feature_codes", "stars, seats=8"),
    ("star_month", "feature_codes", ""),
)
"""Price, metadata key and value; an empty value takes the key away."""

PRODUCT_EDITS: Final = (
    ("star", "feature_codes", "stars, seats=6, galaxies"),
    ("star", "feature_codes", "stars, seats=3"),
    ("addon", "project_id", ""),
    ("addon", "project_id", "alpha"),
    ("ticket", "grant_days", "10"),
    ("lasting", "project_id", "beta"),
    ("lasting", "project_id", "alpha"),
)


def with_ids(body: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """A catalogue with Stripe's ids in the place of names."""
    return {**body, "plans": {ids[name]: plan for name, plan in body["plans"].items()}}
