"""What one version of a catalogue changes against another: whom it concerns, and what is told to people. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf
from typing import Any, Final

import orjson

from common.catalogue import Feature, Kind
from common.document import UNLIMITED, Value
from common.identifiers import FeatureCode
from writer.domain.catalogue import Definition, Plan

GRANT_TARGET: Final = "feature:"
"""Before a feature's code, this names the holders of manual grants of the feature."""


class Effect(StrEnum):
    """What happens to a feature or to what a price grants."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class FeatureChange:
    """A feature that comes, goes or is judged otherwise."""

    code: FeatureCode
    effect: Effect
    before: Feature | None
    after: Feature | None


@dataclass(frozen=True, slots=True)
class PlanChange:
    """What holding a price or product gives in another way; texts such as `seats 5`, None where there was nothing."""

    target: str
    feature_code: FeatureCode | None
    """None: the plan's rank."""
    effect: Effect
    before: str | None
    after: str | None


def is_same(old: Definition, new: Definition) -> bool:
    """Whether a new version would say nothing new."""
    return (old.features, old.plans, old.prices) == (new.features, new.plans, new.prices)


def targets(old: Definition, new: Definition) -> list[str]:
    """Price and product ids, and `feature:CODE` for manual grants, whose holders may hold something else now."""
    found: set[str] = set()
    for code in old.features.keys() | new.features.keys():
        if _computed(old.features.get(code)) != _computed(new.features.get(code)):
            found.add(GRANT_TARGET + code)
            found |= {
                plan.target
                for definition in (old, new)
                for plan in definition.plans.values()
                if any(granted.feature_code == code for granted in plan.features)
            }
    found |= {
        target
        for origin, target in old.plans.keys() | new.plans.keys()
        if old.plans.get((origin, target)) != new.plans.get((origin, target))
    }
    found |= {
        price_id for price_id in old.prices.keys() | new.prices.keys() if _days(old, price_id) != _days(new, price_id)
    }
    return sorted(found)


def feature_changes(old: Definition, new: Definition) -> Iterator[FeatureChange]:
    """Features that differ, by code."""
    for code in sorted(old.features.keys() | new.features.keys()):
        before, after = old.features.get(code), new.features.get(code)
        if before != after:
            yield FeatureChange(code, _effect(before, after), before, after)


def plan_changes(old: Definition, new: Definition) -> Iterator[PlanChange]:
    """What prices and products give otherwise, by target and feature: what counts, wherever it is written down."""
    for target in sorted({target for _, target in old.plans.keys() | new.plans.keys()}):
        before, after = _speaking(old, target), _speaking(new, target)
        held, given = _texts(before), _texts(after)
        for code in sorted(held.keys() | given.keys()):
            if held.get(code) != given.get(code):
                was, will = held.get(code), given.get(code)
                yield PlanChange(target, code, _effect(was, will), was, will)
        ranks = [None if plan is None else f"rank {plan.rank}" for plan in (before, after)]
        # Beside the features of a plan that comes or goes, its usual rank says nothing.
        usual = before is None or after is None
        if ranks[0] != ranks[1] and not (usual and held.keys() | given.keys() and "rank 0" in ranks):
            yield PlanChange(target, None, _effect(*ranks), *ranks)


def _speaking(definition: Definition, target: str) -> Plan | None:
    if target.startswith("prod_"):
        return definition.plan_for("", target)
    price = definition.prices.get(target)
    return definition.plan_for(target, "" if price is None else price.product_id)


def describe(code: str, value: Value, *, per_unit: bool = False) -> str:
    """A granted feature for people: `seats 5 per unit`."""
    words = [code]
    if value is not None:
        words.append(value if isinstance(value, str) else orjson.dumps(value).decode())
    if per_unit:
        words.append("per unit")
    return " ".join(words)


def _texts(plan: Plan | None) -> dict[FeatureCode, str]:
    if plan is None:
        return {}
    return {g.feature_code: describe(g.feature_code, g.value, per_unit=g.per_unit) for g in plan.features}


def _effect(before: Any, after: Any) -> Effect:
    if before is None:
        return Effect.ADDED
    return Effect.REMOVED if after is None else Effect.CHANGED


def held_over(old: Definition, new: Definition) -> dict[FeatureCode, Feature]:
    """Features as they must still be answered while holders are computed, so that nobody loses before he gains.

    An answer is judged by the catalogue from the moment of its revision on, a document comes later. So a feature that
    goes stays known, and of two kinds, defaults and combining rules the wider one is kept.
    """
    found = {}
    for code, before in old.answered.items():
        after = new.features.get(code)
        wide = before if after is None else _wider(before, after)
        if wide != after:
            found[code] = wide
    return found


def _wider(before: Feature, after: Feature) -> Feature:
    if before.kind is after.kind:
        default = _wider_default(before, after)
        return replace(after, default=default, combine=max(before.combine, after.combine))  # "sum" > "max"
    if Kind.PLAIN in {before.kind, after.kind}:
        # Held or not, whatever the rows say: those of both kinds answer yes.
        default = True if before.default or after.default else None
        return Feature(after.code, Kind.PLAIN, default, on_stale=after.on_stale)
    return after


def _wider_default(before: Feature, after: Feature) -> Value:
    if after.kind is not Kind.LIMIT:
        return before.default if after.default is None else after.default
    return max(before.default, after.default, key=_limit)


def _limit(value: Value) -> float:
    if value == UNLIMITED:
        return inf
    return value if type(value) is int else -1


def _computed(feature: Feature | None) -> object:
    # Default and the stale policy are judged when answering: no document holds them. What combines decides which rows
    # a large document can do without.
    return None if feature is None else (feature.kind, feature.combine)


def _days(definition: Definition, price_id: str) -> int | None:
    price = definition.prices.get(price_id)
    return None if price is None else price.grant_days
