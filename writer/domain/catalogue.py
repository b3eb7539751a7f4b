"""A catalogue as the writer computes with it: features, what each price or product grants, and which prices sell."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from common.catalogue import Feature, feature_to_json, features_from_json
from common.document import Value
from common.identifiers import FeatureCode, feature_code


class Origin(StrEnum):
    """Where a plan was written down. `catalog` (catalog.yaml, the admin API) wins where it speaks."""

    CATALOG = "catalog"
    STRIPE = "stripe"


@dataclass(frozen=True, slots=True)
class PlanFeature:
    """One feature of a plan; `per_unit` multiplies a limit by the quantity bought."""

    feature_code: FeatureCode
    value: Value = None
    per_unit: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What buying `target` grants: a price (`price_…`), or any price of a product (`prod_…`)."""

    target: str
    origin: Origin
    features: tuple[PlanFeature, ...] = ()
    rank: int = 0


@dataclass(frozen=True, slots=True)
class PriceInfo:
    """What computing needs of a price of this project. `grant_days` None: a purchase grants for life."""

    product_id: str
    active: bool = True
    grant_days: int | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """One version of a project's catalogue, whole."""

    version: int
    features: Mapping[FeatureCode, Feature] = field(default_factory=dict)
    plans: Mapping[tuple[Origin, str], Plan] = field(default_factory=dict)
    prices: Mapping[str, PriceInfo] = field(default_factory=dict)
    held_over: Mapping[FeatureCode, Feature] = field(default_factory=dict)
    """Features as they are still answered until everybody whom this version concerns is computed; see `answered`."""

    @property
    def answered(self) -> Mapping[FeatureCode, Feature]:
        """Features as `check` judges by them. What is removed leaves last: a feature that goes is known until then."""
        return {**self.features, **self.held_over}

    def plan_for(self, price_id: str, product_id: str) -> Plan | None:
        """What a price grants: the first plan that speaks for it, the price before its product."""
        for origin in (Origin.CATALOG, Origin.STRIPE):
            for target in (price_id, product_id):
                plan = self.plans.get((origin, target))
                if plan is not None:
                    return plan
        return None

    def unlocked_by(self) -> dict[FeatureCode, tuple[str, ...]]:
        """Active prices that grant each feature, sorted."""
        prices: dict[FeatureCode, list[str]] = {}
        for price_id, info in sorted(self.prices.items()):
            plan = self.plan_for(price_id, info.product_id) if info.active else None
            for granted in plan.features if plan else ():
                prices.setdefault(granted.feature_code, []).append(price_id)
        return {code: tuple(ids) for code, ids in prices.items()}


def to_json(definition: Definition) -> dict[str, Any]:
    """The definition as `catalog_versions` holds it."""
    held_over = {code: feature_to_json(feature) for code, feature in sorted(definition.held_over.items())}
    return {
        **({"held_over": held_over} if held_over else {}),
        "version": definition.version,
        "features": {code: feature_to_json(feature) for code, feature in sorted(definition.features.items())},
        "plans": [
            {
                "target": plan.target,
                "origin": plan.origin.value,
                "rank": plan.rank,
                "features": [{"code": g.feature_code, "value": g.value, "per_unit": g.per_unit} for g in plan.features],
            }
            for _, plan in sorted(definition.plans.items())
        ],
        "prices": {
            price_id: {"product": info.product_id, "active": info.active, "grant_days": info.grant_days}
            for price_id, info in sorted(definition.prices.items())
        },
    }


def from_json(parsed: Mapping[str, Any]) -> Definition:
    """Read back what `to_json` wrote."""
    plans = [_plan(row) for row in parsed["plans"]]
    return Definition(
        version=parsed["version"],
        features=features_from_json(parsed["features"]),
        plans={(plan.origin, plan.target): plan for plan in plans},
        prices={
            price_id: PriceInfo(row["product"], row["active"], row["grant_days"])
            for price_id, row in parsed["prices"].items()
        },
        held_over=features_from_json(parsed.get("held_over", {})),
    )


def _plan(row: Mapping[str, Any]) -> Plan:
    return Plan(
        target=row["target"],
        origin=Origin(row["origin"]),
        rank=row["rank"],
        features=tuple(PlanFeature(feature_code(g["code"]), g["value"], g["per_unit"]) for g in row["features"]),
    )
