"""For how many users an edit of a catalogue changes an answer: each computed both ways, without a lock."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from common.catalogue import Catalogue, Feature
from common.clock import Instant
from common.decision import Decision, decide
from common.document import UNLIMITED, Entitlement
from common.identifiers import FeatureCode, ProjectId
from writer.catalogue import changes, holders
from writer.catalogue.holders import Meant
from writer.db import sources
from writer.domain.catalogue import Definition, Plan, PlanFeature
from writer.domain.entitle import Grace, entitle
from writer.domain.sources import Item, Sources

MOST_USERS: Final = 200_000
"""Users computed; beyond that the figures are a lower bound. About 20 s."""

_CHUNK: Final = 1_000
_MARK: Final = "plan:"  # no feature's code holds a colon


class Turn(StrEnum):
    """How an answer changes."""

    GAIN = "gain"
    LOSE = "lose"
    HIGHER = "higher"
    LOWER = "lower"
    OTHER = "other"
    """Another configuration."""


Tally = dict[Turn, int]


@dataclass(slots=True)
class Impact:
    """What was counted. Users are those who have, or had, something in the project."""

    everybody: bool
    """Whether everybody is meant, also those of whom nothing is known yet: a default changes."""
    computed: int = 0
    changed: int = 0
    """Users with another answer for at least one feature."""
    is_exact: bool = True
    by_feature: dict[FeatureCode, Tally] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    by_plan: dict[tuple[str, FeatureCode], Tally] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    """The same among those who hold the price or product now."""
    holders: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """By price or product: who holds it now."""


async def count(
    connection: AsyncConnection,
    project_id: int,
    old: Definition,
    new: Definition,
    leaving: Collection[str],
    grace: Grace,
    now: Instant,
    *,
    most: int = MOST_USERS,
    size: int = _CHUNK,
) -> Impact:
    """Compute everybody whom the edit concerns, under both. `leaving` are prices that go to another project."""
    default_changes = any(
        _default(old.features.get(code)) != _default(new.features.get(code))
        for code in old.features.keys() | new.features.keys()
    )
    targets = sorted({*changes.targets(old, new), *leaving})
    impact = Impact(default_changes)
    comparison = _Comparison(old, new, frozenset(leaving), grace, now, impact)
    meant = Meant(project_id, None if default_changes else targets)
    cursor, is_last = 0, not (default_changes or targets)
    while not is_last:
        chunk = await holders.next_chunk(connection, meant, cursor, size)
        held = await sources.load(connection, chunk.refs) if chunk.refs else {}
        for one in held.values():
            comparison.look_at(one)
        cursor, is_last = chunk.cursor, chunk.is_last
        if impact.computed >= most and not is_last:
            impact.is_exact = False
            break
    return impact


class _Comparison:
    def __init__(
        self, old: Definition, new: Definition, leaving: frozenset[str], grace: Grace, now: Instant, impact: Impact
    ) -> None:
        marked = sorted({change.target for change in changes.plan_changes(old, new)})
        self._old, self._new = _with_marks(old, marked), _with_marks(new, marked)
        self._judging = (_catalogue(old), _catalogue(new))
        self._altered = frozenset(change.code for change in changes.feature_changes(old, new))
        self._leaving = leaving
        self._grace = grace
        self._now = now
        self._impact = impact

    def look_at(self, held: Sources) -> None:
        """Compute one user both ways and note what differs."""
        kept = _without(held, self._leaving) if self._leaving else held
        before = _by_feature(entitle(held, self._old, self._grace, self._now))
        after = _by_feature(entitle(kept, self._new, self._grace, self._now))
        plans = self._held_plans(before) | self._held_plans(after)
        self._impact.computed += 1
        for target in plans:
            self._impact.holders[target] += 1
        changed = False
        for code in before.keys() | after.keys() | self._altered:
            if code.startswith(_MARK) or (code not in self._altered and before.get(code) == after.get(code)):
                continue
            turned = self._turn(code, before.get(code, ()), after.get(code, ()))
            if turned is not None:
                changed = True
                self._impact.by_feature[code][turned] += 1
                for target in plans:
                    self._impact.by_plan[target, code][turned] += 1
        self._impact.changed += changed

    def _turn(self, code: FeatureCode, before: Collection[Entitlement], after: Collection[Entitlement]) -> Turn | None:
        old = decide(tuple(before), code, self._judging[0], self._now)
        new = decide(tuple(after), code, self._judging[1], self._now)
        return turn(old, new)

    def _held_plans(self, rows: Mapping[FeatureCode, Collection[Entitlement]]) -> set[str]:
        return {
            code.removeprefix(_MARK)
            for code, found in rows.items()
            if code.startswith(_MARK)
            and any(row.valid_from <= self._now and (row.valid_to is None or self._now < row.valid_to) for row in found)
        }


def turn(old: Decision, new: Decision) -> Turn | None:
    """How an answer changes; None: not at all."""
    if old.allowed != new.allowed:
        return Turn.GAIN if new.allowed else Turn.LOSE
    if not new.allowed or old.value == new.value:
        return None
    if new.value == UNLIMITED:
        return Turn.HIGHER
    if old.value == UNLIMITED:
        return Turn.LOWER
    if type(old.value) is int and type(new.value) is int:
        return Turn.HIGHER if new.value > old.value else Turn.LOWER
    return Turn.OTHER


def _with_marks(definition: Definition, targets: Iterable[str]) -> Definition:
    """The definition in which each of these plans grants one more feature: it shows who holds the plan."""
    wanted = set(targets)

    def marked(plan: Plan) -> Plan:
        if plan.target not in wanted:
            return plan
        return replace(plan, features=(*plan.features, PlanFeature(FeatureCode(_MARK + plan.target))))

    marks = {FeatureCode(_MARK + target): Feature(FeatureCode(_MARK + target)) for target in wanted}
    plans = {key: marked(plan) for key, plan in definition.plans.items()}
    return replace(definition, features={**definition.features, **marks}, plans=plans)


def _without(held: Sources, leaving: frozenset[str]) -> Sources:
    def stay(items: tuple[Item, ...]) -> tuple[Item, ...]:
        return tuple(item for item in items if item.price_id not in leaving)

    return replace(
        held,
        subscriptions=tuple(replace(one, items=stay(one.items)) for one in held.subscriptions),
        purchases=tuple(replace(one, lines=stay(one.lines)) for one in held.purchases),
    )


def _by_feature(rows: Iterable[Entitlement]) -> dict[FeatureCode, list[Entitlement]]:
    found: dict[FeatureCode, list[Entitlement]] = defaultdict(list)
    for row in rows:
        found[row.feature_code].append(row)
    return found


def _catalogue(definition: Definition) -> Catalogue:
    return Catalogue(ProjectId("-"), 0, 0, definition.version, definition.features)


def _default(feature: Feature | None) -> object:
    return None if feature is None else (feature.default or None)
