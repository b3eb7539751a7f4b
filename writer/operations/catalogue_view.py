"""A project's catalogue for operators: what was declared, what is in force, and what an edit would change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.catalogue import changes, tables
from writer.catalogue.changes import GRANT_TARGET, FeatureChange, PlanChange
from writer.catalogue.declared import ProjectCatalog
from writer.domain import catalogue as definitions
from writer.domain.catalogue import Definition, PlanFeature
from writer.operations.projects import Project
from writer.recompute import load_definition


@dataclass(frozen=True, slots=True)
class CatalogueView:
    """A catalogue and where it comes from."""

    project: Project
    declared: ProjectCatalog
    in_force: Definition


@dataclass(frozen=True, slots=True)
class PlanEffect:
    """A plan's change and how many users hold the plan now."""

    change: PlanChange
    users: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What an edit would change; `users` are those who would be computed again."""

    features: Sequence[FeatureChange]
    plans: Sequence[PlanEffect]
    users: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return not self.features and not self.plans


async def read(connection: AsyncConnection, project: Project) -> CatalogueView:
    """The catalogue as it stands."""
    in_force = await load_definition(connection, project.id, project.catalog_version)
    return CatalogueView(project, await tables.declared(connection, project.id), in_force)


async def compare(connection: AsyncConnection, project_id: int, old: Definition, new: Definition) -> Plan:
    """The differences, each with how many users it is about."""
    effects = [
        PlanEffect(change, await _holders(connection, project_id, [change.target]))
        for change in changes.plan_changes(old, new)
    ]
    users = await _holders(connection, project_id, changes.targets(old, new))
    return Plan(list(changes.feature_changes(old, new)), effects, users)


def to_json(view: CatalogueView) -> dict[str, Any]:
    """`declared` can be sent back as it is; `in_force` holds Stripe's part too."""
    return {
        "project_id": view.project.public_id,
        "version": view.in_force.version,
        "declared": declared_to_json(view.declared),
        "in_force": definitions.to_json(view.in_force),
    }


def declared_to_json(declared: ProjectCatalog) -> dict[str, Any]:
    """In the shape of catalog.yaml, with what is as usual left out."""
    return {
        "features": {code: _feature(one) for code, one in declared.features.items()},
        "plans": {
            target: {
                **({"rank": plan.rank} if plan.rank else {}),
                "features": {granted.feature_code: _granted(granted) for granted in plan.features},
            }
            for target, plan in declared.plans.items()
        },
    }


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The differences in their public shape."""
    return {
        "users": plan.users,
        "features": [{"feature": one.code, "effect": one.effect.value} for one in plan.features],
        "plans": [
            {
                "target": one.change.target,
                "feature": one.change.feature_code,
                "effect": one.change.effect.value,
                "before": one.change.before,
                "after": one.change.after,
                "users": one.users,
            }
            for one in plan.plans
        ],
    }


def _feature(one: Any) -> dict[str, Any]:
    feature = one.feature
    parts = {
        "kind": feature.kind.value,
        "name": one.name,
        "default": feature.default,
        "combine": feature.combine.value if feature.kind.value == "limit" else None,
        "on_stale": None if feature.on_stale is None else feature.on_stale.value,
    }
    return {name: value for name, value in parts.items() if value is not None}


def _granted(granted: PlanFeature) -> Any:
    if granted.per_unit:
        return {"value": granted.value, "per_unit": True}
    if isinstance(granted.value, dict):
        return {"value": granted.value}
    return True if granted.value is None else granted.value


async def _holders(connection: AsyncConnection, project_id: int, targets: Sequence[str]) -> int:
    parameters = {
        "project_id": project_id,
        "targets": [target for target in targets if not target.startswith(GRANT_TARGET)],
        "features": [target.removeprefix(GRANT_TARGET) for target in targets if target.startswith(GRANT_TARGET)],
    }
    count: int = (await connection.execute(_HOLDERS, parameters)).scalar_one()
    return count


_HOLDERS: Final = text("""
SELECT count(*) FROM (
    SELECT user_ref FROM subscription_items
    WHERE price_id = ANY(CAST(:targets AS text[])) OR product_id = ANY(CAST(:targets AS text[]))
    UNION SELECT user_ref FROM purchase_lines
    WHERE price_id = ANY(CAST(:targets AS text[])) OR product_id = ANY(CAST(:targets AS text[]))
    UNION SELECT user_ref FROM manual_grants
    WHERE feature_code = ANY(CAST(:features AS text[])) AND revoked_at IS NULL
) h JOIN users u ON u.id = h.user_ref WHERE u.project_id = :project_id
""")
