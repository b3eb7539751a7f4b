"""What an edit of the catalogue would do, counted and said in sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from common.catalogue import Feature, feature_to_json
from common.clock import Instant
from common.identifiers import ProjectId
from writer.catalogue import changes, holders, imagined, impact
from writer.catalogue.apply import Edit
from writer.catalogue.changes import Effect, FeatureChange, PlanChange
from writer.catalogue.holders import Meant
from writer.catalogue.imagined import Foreseen, Imagined
from writer.catalogue.impact import Impact, Tally, Turn
from writer.domain.entitle import Grace


@dataclass(frozen=True, slots=True)
class PriceMove:
    """A price that would change its project; None is nobody's. `users` have it in the project that it leaves."""

    price_id: str
    old: str | None
    new: str | None
    users: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What an edit would change in one project; `users` are those who would be computed again."""

    features: Sequence[FeatureChange]
    plans: Sequence[PlanChange]
    moves: Sequence[PriceMove]
    users: int
    impact: Impact
    names: Mapping[str, str]
    """Prices and products by id, as people call them."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return not self.features and not self.plans and not self.moves

    def name(self, target: str) -> str:
        """A price or product for people: `Pro (prod_1)`."""
        called = self.names.get(target)
        return target if called is None else f"{called} ({target})"


async def foresee(
    connection: AsyncConnection, edits: Sequence[Edit], grace: Grace, now: Instant
) -> dict[ProjectId, Plan]:
    """What `edits` would do, by project: also in those that only lose or gain a price. One snapshot, and no lock."""
    foreseen = await imagined.imagine(connection, edits)
    return {
        ProjectId(one.project.public_id): await _plan(connection, foreseen, one, grace, now)
        for one in foreseen.projects
    }


async def _plan(connection: AsyncConnection, foreseen: Foreseen, one: Imagined, grace: Grace, now: Instant) -> Plan:
    project_id = one.project.id
    known = {other.project.id: other.project.public_id for other in foreseen.projects}
    moves = []
    for move in foreseen.moved:
        if project_id in {move.old, move.new}:
            users = 0 if move.old is None else await holders.count(connection, Meant(move.old, [move.price_id]))
            old, new = (None if end is None else known[end] for end in (move.old, move.new))
            moves.append(PriceMove(move.price_id, old, new, users))
    leaving = frozenset(move.price_id for move in foreseen.moved if move.old == project_id)
    targets = sorted({*changes.targets(one.old, one.new), *leaving})
    users = await holders.count(connection, Meant(project_id, targets)) if targets else 0
    counted = await impact.count(connection, project_id, one.old, one.new, leaving, grace, now)
    features = list(changes.feature_changes(one.old, one.new))
    return Plan(features, list(changes.plan_changes(one.old, one.new)), moves, users, counted, foreseen.names)


def sentences(plan: Plan) -> list[str]:
    """What would happen, a sentence each; first what is taken away."""
    told = [*map(_of_move, plan.moves), *_of_plans(plan), *_of_features(plan)]
    return [sentence for _, sentence in sorted(told, key=lambda one: one[0])]


def summary(plan: Plan) -> str:
    """How many users it is about."""
    if plan.is_empty:
        return "nothing would change"
    more = "" if plan.impact.is_exact else f" at least, among the first {_number(plan.impact.computed)}"
    changed = f"answers change for {_users(plan.impact.changed)}{more}"
    everybody = "; a default changes, which is everybody's" if plan.impact.everybody else ""
    return f"{_users(plan.users)} would be computed again, {changed}{everybody}"


def _of_move(plan_move: PriceMove) -> tuple[int, str]:
    old, new = plan_move.old or "nobody", plan_move.new or "nobody"
    tail = f": {_users(plan_move.users)} have it" if plan_move.old else ""
    return 0, f"{plan_move.price_id} moves from {old} to {new}{tail}"


def _of_plans(plan: Plan) -> Iterator[tuple[int, str]]:
    for change in plan.plans:
        name, hold = plan.name(change.target), f"{_users(plan.impact.holders.get(change.target, 0))} hold it"
        if change.feature_code is None:
            yield 3, f"{name}: {change.before or 'no plan'} → {change.after or 'no plan'}: {hold}"
            continue
        told = _told(plan.impact.by_plan.get((change.target, change.feature_code), {}), change.feature_code)
        match change.effect:
            case Effect.REMOVED:
                yield 1, f"{name} loses `{change.before}`: {hold}, {told}"
            case Effect.ADDED:
                yield 3, f"{name} gains `{change.after}`: {hold}, {told}"
            case Effect.CHANGED:
                yield 2, f"{name}: `{change.before}` → `{change.after}`: {hold}, {told}"


def _of_features(plan: Plan) -> Iterator[tuple[int, str]]:
    for change in plan.features:
        told = _told(plan.impact.by_feature.get(change.code, {}), change.code)
        if change.after is None:
            yield 1, f"feature `{change.code}` is deleted: {told}; from then on it is answered unknown_feature"
        elif change.before is None:
            given = "" if change.after.default is None else f", with the default {_json(change.after.default)}"
            yield 3, f"feature `{change.code}` is new{given}: {told}"
        else:
            yield 2, f"feature `{change.code}`: {', '.join(_differences(change.before, change.after))}: {told}"


def _differences(before: Feature, after: Feature) -> Iterator[str]:
    old, new = feature_to_json(before), feature_to_json(after)
    for part, was in old.items():
        if was != new[part]:
            yield f"{part} {_json(was)} → {_json(new[part])}"


_WORDS = {
    Turn.LOSE: "lose `{}`",
    Turn.LOWER: "have less of `{}`",
    Turn.OTHER: "have another `{}`",
    Turn.HIGHER: "have more of `{}`",
    Turn.GAIN: "gain `{}`",
}


def _told(tally: Mapping[Turn, int], code: str) -> str:
    parts = [f"{_number(tally[turn])} {words.format(code)}" for turn, words in _WORDS.items() if tally.get(turn)]
    return ", ".join(parts) or "nobody's answer changes"


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan in its public shape."""
    return {
        "users": plan.users,
        "changed_users": plan.impact.changed,
        "everybody": plan.impact.everybody,
        "exact": plan.impact.is_exact,
        "sentences": sentences(plan),
        "features": [
            {
                "feature": one.code,
                "effect": one.effect.value,
                "before": None if one.before is None else feature_to_json(one.before),
                "after": None if one.after is None else feature_to_json(one.after),
                "answers": _tally(plan.impact.by_feature.get(one.code, {})),
            }
            for one in plan.features
        ],
        "plans": [
            {
                "target": one.target,
                "feature": one.feature_code,
                "effect": one.effect.value,
                "before": one.before,
                "after": one.after,
                "users": plan.impact.holders.get(one.target, 0),
                "name": plan.names.get(one.target),
                "answers": {}
                if one.feature_code is None
                else _tally(plan.impact.by_plan.get((one.target, one.feature_code), {})),
            }
            for one in plan.plans
        ],
        "moved_prices": [
            {"price_id": one.price_id, "from": one.old, "to": one.new, "users": one.users} for one in plan.moves
        ],
    }


def _tally(tally: Tally | Mapping[Turn, int]) -> dict[str, int]:
    return {turn.value: tally[turn] for turn in Turn if tally.get(turn)}


def _users(count: int) -> str:
    return f"{_number(count)} user{'' if count == 1 else 's'}"


def _number(count: int) -> str:
    return f"{count:,}"


def _json(value: Any) -> str:
    return "nothing" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()
