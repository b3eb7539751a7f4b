"""The catalogue's tables: what is declared, what Stripe's mirror holds, and how a version is written down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.catalogue import Combine, Feature, Kind, OnStale
from common.identifiers import FeatureCode
from writer.catalogue.declared import DeclaredFeature, ProjectCatalog
from writer.domain.catalogue import Definition, Origin, Plan, PlanFeature


@dataclass(frozen=True, slots=True)
class MirroredPrice:
    """A price of the project as Stripe has it."""

    id: str
    product_id: str
    active: bool
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MirroredProduct:
    """What Stripe's product says of the catalogue."""

    metadata: Mapping[str, str]
    features: Sequence[FeatureCode] = ()
    """Attached to it at Stripe, sorted."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """What Stripe holds of the project: prices, and their products by id."""

    prices: Sequence[MirroredPrice]
    products: Mapping[str, MirroredProduct]


async def declared(connection: AsyncConnection, project_id: int) -> ProjectCatalog:
    """What was declared last, by catalog.yaml or the admin route."""
    parameters = {"project_id": project_id}
    features = {
        FeatureCode(row.code): DeclaredFeature(
            Feature(
                FeatureCode(row.code),
                Kind(row.kind),
                row.default_value,
                Combine(row.combine),
                None if row.on_stale is None else OnStale(row.on_stale),
            ),
            row.name,
        )
        for row in await connection.execute(_FEATURES, parameters)
    }
    plans = {
        row.target: Plan(
            row.target,
            Origin.CATALOG,
            tuple(PlanFeature(FeatureCode(g["code"]), g["value"], g["per_unit"]) for g in row.features),
            row.rank,
        )
        for row in await connection.execute(_PLANS, parameters)
    }
    return ProjectCatalog(features, plans)


async def mirror(connection: AsyncConnection, project_id: int) -> Mirror:
    """What Stripe holds of the project."""
    rows = (await connection.execute(_PRICES, {"project_id": project_id})).all()
    prices = [MirroredPrice(row.id, row.product_id, row.active and row.product_active, row.metadata) for row in rows]
    return Mirror(prices, {row.product_id: MirroredProduct(row.product_metadata, row.product_features) for row in rows})


async def write(
    connection: AsyncConnection, project_id: int, names: Mapping[FeatureCode, DeclaredFeature], new: Definition
) -> None:
    """Put the tables to what `new` says; the caller holds the project's lock."""
    features = [
        {
            "code": code,
            "kind": feature.kind.value,
            "name": names[code].name if code in names else None,
            "default_value": feature.default,
            "combine": feature.combine.value,
            "on_stale": None if feature.on_stale is None else feature.on_stale.value,
            "origin": (Origin.CATALOG if code in names else Origin.STRIPE).value,
        }
        for code, feature in new.features.items()
    ]
    plans = [{"target": p.target, "origin": p.origin.value, "rank": p.rank} for p in new.plans.values()]
    granted = [
        {
            "target": p.target,
            "origin": p.origin.value,
            "feature_code": g.feature_code,
            "value": g.value,
            "per_unit": g.per_unit,
        }
        for p in new.plans.values()
        for g in p.features
    ]
    for statement in (_DELETE_PLANS, _DELETE_FEATURES):
        await connection.execute(statement, {"project_id": project_id})
    for statement, rows in ((_ADD_FEATURES, features), (_ADD_PLANS, plans), (_ADD_PLAN_FEATURES, granted)):
        if rows:
            await connection.execute(statement, {"project_id": project_id, "rows": orjson.dumps(rows).decode()})


async def set_targets(connection: AsyncConnection, project_id: int, targets: Sequence[str]) -> None:
    """Have declared plans for exactly these targets, so that prices can be placed; `write` fills them."""
    for statement in (_DROP_TARGETS, _ADD_TARGETS):
        await connection.execute(statement, {"project_id": project_id, "targets": list(targets)})


async def rename(connection: AsyncConnection, project_id: int, names: Mapping[FeatureCode, DeclaredFeature]) -> None:
    """Keep features' names for people; they are no part of a version."""
    rows: list[dict[str, Any]] = [{"code": code, "name": one.name} for code, one in names.items()]
    await connection.execute(_RENAME, {"project_id": project_id, "rows": orjson.dumps(rows).decode()})


_FEATURES: Final = text("""
SELECT code, kind, name, default_value, combine, on_stale FROM features
WHERE project_id = :project_id AND origin = 'catalog' ORDER BY code
""")

_PLANS: Final = text("""
SELECT p.target, p.rank, coalesce(json_agg(json_build_object('code', f.feature_code, 'value', f.value,
    'per_unit', f.per_unit) ORDER BY f.feature_code COLLATE "C") FILTER (WHERE f.feature_code IS NOT NULL), '[]')
    AS features
FROM plans p LEFT JOIN plan_features f USING (project_id, target, origin)
WHERE p.project_id = :project_id AND p.origin = 'catalog' GROUP BY p.target, p.rank ORDER BY p.target
""")

_PRICES: Final = text("""
SELECT c.id, c.product_id, c.active, coalesce(d.active, true) AS product_active, c.metadata,
    coalesce(d.metadata, '{}') AS product_metadata, coalesce(d.features, '{}') AS product_features
FROM prices c LEFT JOIN products d ON d.id = c.product_id WHERE c.project_id = :project_id ORDER BY c.id
""")

_DELETE_PLANS: Final = text("DELETE FROM plans WHERE project_id = :project_id")

_DELETE_FEATURES: Final = text("DELETE FROM features WHERE project_id = :project_id")

_DROP_TARGETS: Final = text("""
DELETE FROM plans WHERE project_id = :project_id AND origin = 'catalog' AND target <> ALL(CAST(:targets AS text[]))
""")

_ADD_TARGETS: Final = text("""
INSERT INTO plans (project_id, target, origin) SELECT :project_id, target, 'catalog'
FROM unnest(CAST(:targets AS text[])) AS t(target) ON CONFLICT DO NOTHING
""")

_ADD_FEATURES: Final = text("""
INSERT INTO features (project_id, code, kind, name, default_value, combine, on_stale, origin)
SELECT :project_id, code, kind, name, nullif(default_value, 'null'), combine, on_stale, origin
FROM jsonb_to_recordset(CAST(CAST(:rows AS text) AS jsonb)) AS r(
    code text, kind text, name text, default_value jsonb, combine text, on_stale text, origin text)
""")

_ADD_PLANS: Final = text("""
INSERT INTO plans (project_id, target, origin, rank)
SELECT :project_id, target, origin, rank
FROM jsonb_to_recordset(CAST(CAST(:rows AS text) AS jsonb)) AS r(target text, origin text, rank bigint)
""")

_ADD_PLAN_FEATURES: Final = text("""
INSERT INTO plan_features (project_id, target, origin, feature_code, value, per_unit)
SELECT :project_id, target, origin, feature_code, nullif(value, 'null'), per_unit
FROM jsonb_to_recordset(CAST(CAST(:rows AS text) AS jsonb)) AS r(
    target text, origin text, feature_code text, value jsonb, per_unit boolean)
""")

_RENAME: Final = text("""
UPDATE features f SET name = r.name
FROM jsonb_to_recordset(CAST(CAST(:rows AS text) AS jsonb)) AS r(code text, name text)
WHERE f.project_id = :project_id AND f.code = r.code AND f.name IS DISTINCT FROM r.name
""")
