"""A project's catalogue as it was: which versions there were, and what was declared in one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.catalogue import Feature
from common.clock import Instant, from_datetime
from common.identifiers import FeatureCode
from writer.catalogue.declared import DeclaredFeature, ProjectCatalog
from writer.domain import catalogue as definitions
from writer.domain.catalogue import Definition, Origin
from writer.operations.projects import Project
from writer.refusals import UnknownError

MOST: Final = 50
_MAX_VERSION: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class CatalogueVersion:
    """One version: since when it was in force, by whom, and its features' codes."""

    version: int
    at: Instant
    actor: str
    features: tuple[FeatureCode, ...]


async def newest(connection: AsyncConnection, project: Project) -> Sequence[CatalogueVersion]:
    """The last `MOST` versions, the newest first."""
    rows = await connection.execute(_NEWEST, {"project_id": project.id, "most": MOST})
    return [
        CatalogueVersion(
            row.version, from_datetime(row.created_at), row.actor, tuple(FeatureCode(code) for code in row.features)
        )
        for row in rows
    ]


async def declared_in(connection: AsyncConnection, project: Project, version: int) -> ProjectCatalog:
    """What was declared in a version, without features' names, which no version keeps; UnknownError."""
    known = 0 < version <= _MAX_VERSION
    parameters = {"project_id": project.id, "version": version}
    kept = (await connection.execute(_ONE, parameters)).scalar_one_or_none() if known else None
    if kept is None:
        raise UnknownError("unknown_version", f"the catalogue of {project.public_id} has no version {version}")
    return declared_of(definitions.from_json(kept))


def declared_of(definition: Definition) -> ProjectCatalog:
    """The part of a version that does not follow from Stripe's metadata."""
    plans = {plan.target: plan for plan in definition.plans.values() if plan.origin is Origin.CATALOG}
    ours = {granted.feature_code for plan in plans.values() for granted in plan.features}
    stripes = {
        granted.feature_code
        for plan in definition.plans.values()
        if plan.origin is Origin.STRIPE
        for granted in plan.features
    }
    # What metadata alone names becomes a plain feature; declared or not, such a one is made again by itself.
    features = {
        code: DeclaredFeature(feature)
        for code, feature in definition.features.items()
        if code in ours or code not in stripes or feature != Feature(code)
    }
    return ProjectCatalog(features, plans)


_NEWEST: Final = text("""
SELECT version, created_at, actor, ARRAY(SELECT jsonb_object_keys(definition->'features') ORDER BY 1) AS features
FROM catalog_versions WHERE project_id = :project_id ORDER BY version DESC LIMIT :most
""")

_ONE: Final = text("SELECT definition FROM catalog_versions WHERE project_id = :project_id AND version = :version")
