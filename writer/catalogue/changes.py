"""What one version of a catalogue changes against another: whom it concerns, and what is told to people. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from common.catalogue import Feature
from common.document import Value
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
    """What plans give otherwise, by target and feature."""
    for origin, target in sorted(old.plans.keys() | new.plans.keys()):
        before, after = old.plans.get((origin, target)), new.plans.get((origin, target))
        if before == after:
            continue
        held, given = _texts(before), _texts(after)
        for code in sorted(held.keys() | given.keys()):
            if held.get(code) != given.get(code):
                was, will = held.get(code), given.get(code)
                yield PlanChange(target, code, _effect(was, will), was, will)
        ranks = [None if plan is None else f"rank {plan.rank}" for plan in (before, after)]
        if ranks[0] != ranks[1] or held == given:
            yield PlanChange(target, None, _effect(*ranks), *ranks)


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


def _computed(feature: Feature | None) -> object:
    # Default, combining and the stale policy are judged when answering: no document holds them.
    return None if feature is None else feature.kind


def _days(definition: Definition, price_id: str) -> int | None:
    price = definition.prices.get(price_id)
    return None if price is None else price.grant_days
