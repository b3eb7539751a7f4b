"""A project's catalogue for operators: what was declared, and what is in force."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from writer.catalogue import tables
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


async def read(connection: AsyncConnection, project: Project) -> CatalogueView:
    """The catalogue as it stands."""
    in_force = await load_definition(connection, project.id, project.catalog_version)
    return CatalogueView(project, await tables.declared(connection, project.id), in_force)


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
