"""Which project a Stripe price belongs to: its own metadata's, its product's, or the catalogue's that names it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Placed:
    """What was placed anew: the prices, and the projects that lost or gained one."""

    moved_prices: frozenset[str]
    projects: frozenset[int]


async def begin(connection: AsyncConnection) -> None:
    """Be the only one who decides where prices belong, to the transaction's end; first, before any row is written.

    A price and the plan that names it, written at the same moment, would not see each other.
    """
    await connection.execute(_BEGIN)


async def place(connection: AsyncConnection, price_ids: Collection[str], product_ids: Collection[str]) -> Placed:
    """Decide again for these prices, and for these products with all of their prices."""
    parameters = {"prices": sorted(price_ids), "products": sorted(product_ids)}
    # Sorted locks first: two edits that touch the same prices wait for one another instead of for each other.
    await connection.execute(_LOCK_PRICES, parameters)
    await connection.execute(_PLACE_PRODUCTS, parameters)
    rows = (await connection.execute(_PLACE_PRICES, parameters)).all()
    projects = {project for row in rows for project in (row.old_project, row.new_project) if project is not None}
    return Placed(frozenset(row.id for row in rows), frozenset(projects))


async def covered(
    connection: AsyncConnection, price_ids: Collection[str], product_ids: Collection[str]
) -> frozenset[str]:
    """These prices, as far as they are known, and all of these products."""
    rows = await connection.execute(_COVERED, {"prices": sorted(price_ids), "products": sorted(product_ids)})
    return frozenset(rows.scalars())


async def place_named(connection: AsyncConnection, public_id: str) -> Placed:
    """Decide again for everything whose metadata names a project, which came to be after them."""
    rows = (await connection.execute(_NAMED, {"public_id": public_id})).all()
    return await place(
        connection,
        [row.id for row in rows if row.kind == "price"],
        [row.id for row in rows if row.kind == "product"],
    )


async def project_of(connection: AsyncConnection, price_ids: Collection[str]) -> frozenset[int]:
    """The projects that these prices belong to now."""
    rows = await connection.execute(_PROJECTS, {"prices": sorted(price_ids)})
    return frozenset(rows.scalars())


_BEGIN: Final = text("SELECT pg_advisory_xact_lock(7070000002)")

_COVERED: Final = text("""
SELECT id FROM prices WHERE id = ANY(CAST(:prices AS text[])) OR product_id = ANY(CAST(:products AS text[]))
""")

_LOCK_PRICES: Final = text("""
SELECT id FROM prices WHERE id = ANY(CAST(:prices AS text[])) OR product_id = ANY(CAST(:products AS text[]))
ORDER BY id FOR NO KEY UPDATE
""")

# A project named in metadata that does not exist leaves the object nobody's: a guess would bill one app's customers
# for another's features.
_PLACE_PRODUCTS: Final = text("""
WITH placed AS (
    SELECT d.id, CASE
        WHEN coalesce(d.metadata->>'project_id', '') <> ''
            THEN (SELECT p.id FROM projects p WHERE p.public_id = d.metadata->>'project_id')
        ELSE (SELECT min(c.project_id) FROM plans c WHERE c.origin = 'catalog' AND c.target = d.id)
    END AS project_id
    FROM products d WHERE d.id = ANY(CAST(:products AS text[])) ORDER BY d.id FOR NO KEY UPDATE
)
UPDATE products d SET project_id = w.project_id FROM placed w
WHERE d.id = w.id AND d.project_id IS DISTINCT FROM w.project_id
""")

_PLACE_PRICES: Final = text("""
WITH placed AS (
    SELECT c.id, c.project_id AS old_project, CASE
        WHEN coalesce(c.metadata->>'project_id', '') <> ''
            THEN (SELECT p.id FROM projects p WHERE p.public_id = c.metadata->>'project_id')
        WHEN coalesce(d.metadata->>'project_id', '') <> ''
            THEN (SELECT p.id FROM projects p WHERE p.public_id = d.metadata->>'project_id')
        ELSE coalesce(
            (SELECT min(l.project_id) FROM plans l WHERE l.origin = 'catalog' AND l.target = c.id),
            (SELECT min(l.project_id) FROM plans l WHERE l.origin = 'catalog' AND l.target = c.product_id))
    END AS new_project
    FROM prices c LEFT JOIN products d ON d.id = c.product_id
    WHERE c.id = ANY(CAST(:prices AS text[])) OR c.product_id = ANY(CAST(:products AS text[]))
)
UPDATE prices c SET project_id = w.new_project FROM placed w
WHERE c.id = w.id AND w.old_project IS DISTINCT FROM w.new_project
RETURNING c.id, w.old_project, w.new_project
""")

_NAMED: Final = text("""
SELECT 'price' AS kind, id FROM prices WHERE metadata->>'project_id' = :public_id
UNION ALL SELECT 'product', id FROM products WHERE metadata->>'project_id' = :public_id
""")

_PROJECTS: Final = text("""
SELECT DISTINCT project_id FROM prices WHERE id = ANY(CAST(:prices AS text[])) AND project_id IS NOT NULL
""")
