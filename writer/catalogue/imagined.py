"""Catalogues as an edit would make them, worked out without a lock and without writing anything."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.catalogue import apply, store, tables
from writer.catalogue.apply import Edit
from writer.catalogue.tables import Mirror, MirroredPrice, MirroredProduct
from writer.domain.catalogue import Definition
from writer.operations import projects
from writer.operations.projects import Project
from writer.recompute import load_definition


@dataclass(frozen=True, slots=True)
class Imagined:
    """One project's catalogue in force, and as it would be."""

    project: Project
    old: Definition
    new: Definition


@dataclass(frozen=True, slots=True)
class Moved:
    """A price that would change its project; None is nobody's."""

    price_id: str
    old: int | None
    new: int | None


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would come of edits: the projects edited, and those that lose or gain a price by them."""

    projects: Sequence[Imagined]
    moved: Sequence[Moved]
    names: Mapping[str, str]
    """Prices and products by id, as people call them."""


async def imagine(connection: AsyncConnection, edits: Sequence[Edit]) -> Foreseen:
    """What `apply` would come to; ConflictError where it would refuse. The connection sees one snapshot."""
    await apply.refuse_taken(connection, edits)
    edited = {edit.project.id: edit for edit in edits}
    declared = {one: await tables.declared(connection, one) for one in edited}
    targets = {t for one in edited for t in declared[one].plans.keys() | edited[one].declared.plans.keys()}
    parameters = {"projects": list(edited), "targets": sorted(targets)}
    rows = (await connection.execute(_PRICES, parameters)).all()
    placing = await _Placing.read(connection, edits, rows)
    moved = [Moved(row.id, row.project_id, new) for row in rows if (new := placing.place(row)) != row.project_id]
    concerned = {edit.project.id: edit.project for edit in edits}
    for other in sorted({one for move in moved for one in (move.old, move.new) if one is not None} - edited.keys()):
        concerned[other] = await projects.find_by_id(connection, other)
    made = []
    for project_id, project in concerned.items():
        old = await load_definition(connection, project_id, project.catalog_version)
        wish = edited[project_id].declared if project_id in edited else await tables.declared(connection, project_id)
        mirror = _mirror(await tables.mirror(connection, project_id), project_id, rows, moved)
        made.append(Imagined(project, old, store.build(old.version + 1, wish, mirror)))
    names = {row.id: row.name for row in await connection.execute(_NAMES, {"ids": sorted(_named(made, moved))})}
    return Foreseen(made, moved, names)


@dataclass(frozen=True, slots=True)
class _Placing:
    """Decides whose a price would be, by the rules of `placement`."""

    by_public_id: Mapping[str, int]
    owners: Mapping[str, Sequence[int]]
    """Projects whose catalogue would name the price or product."""

    @classmethod
    async def read(cls, connection: AsyncConnection, edits: Sequence[Edit], rows: Sequence[Row[Any]]) -> "_Placing":
        targets = {name for row in rows for name in (row.id, row.product_id)}
        parameters = {"edited": [edit.project.id for edit in edits], "targets": sorted(targets)}
        owners: dict[str, list[int]] = defaultdict(list)
        for row in await connection.execute(_OWNERS, parameters):
            owners[row.target].append(row.project_id)
        for edit in edits:
            for target in edit.declared.plans:
                owners[target].append(edit.project.id)
        known = {row.public_id: row.id for row in await connection.execute(_PROJECTS)}
        return cls(known, owners)

    def place(self, row: Row[Any]) -> int | None:
        for metadata in (row.metadata, row.product_metadata):
            named = metadata.get("project_id")
            if named:
                return self.by_public_id.get(named)
        found = self.owners.get(row.id) or self.owners.get(row.product_id)
        return min(found) if found else None


def _mirror(held: Mirror, project_id: int, rows: Sequence[Row[Any]], moved: Sequence[Moved]) -> Mirror:
    gone = {move.price_id for move in moved if move.old == project_id}
    come = {move.price_id for move in moved if move.new == project_id}
    added = [row for row in rows if row.id in come]
    prices = [price for price in held.prices if price.id not in gone]
    prices += [MirroredPrice(row.id, row.product_id, row.active, row.metadata) for row in added]
    products = {price.product_id: held.products[price.product_id] for price in held.prices if price.id not in gone}
    come_along = {row.product_id: MirroredProduct(row.product_metadata, row.product_features) for row in added}
    return Mirror(prices, products | come_along)


def _named(made: Sequence[Imagined], moved: Sequence[Moved]) -> set[str]:
    plans = {target for one in made for _, target in one.old.plans.keys() | one.new.plans.keys()}
    return plans | {move.price_id for move in moved}


_PRICES: Final = text("""
SELECT c.id, c.product_id, c.project_id, c.active AND coalesce(d.active, true) AS active, c.metadata,
    coalesce(d.metadata, '{}') AS product_metadata, coalesce(d.features, '{}') AS product_features
FROM prices c LEFT JOIN products d ON d.id = c.product_id
WHERE c.project_id = ANY(:projects) OR c.id = ANY(CAST(:targets AS text[]))
    OR c.product_id = ANY(CAST(:targets AS text[]))
ORDER BY c.id
""")

_OWNERS: Final = text("""
SELECT target, project_id FROM plans
WHERE origin = 'catalog' AND target = ANY(CAST(:targets AS text[])) AND project_id <> ALL(:edited)
""")

_PROJECTS: Final = text("SELECT id, public_id FROM projects")

_NAMES: Final = text("""
SELECT id, name FROM products WHERE id = ANY(CAST(:ids AS text[]))
UNION ALL
SELECT c.id, coalesce(c.nickname, d.name || CASE WHEN c.interval IS NULL THEN '' ELSE ', by the ' || c.interval END)
FROM prices c LEFT JOIN products d ON d.id = c.product_id
WHERE c.id = ANY(CAST(:ids AS text[])) AND coalesce(c.nickname, d.name) IS NOT NULL
""")
