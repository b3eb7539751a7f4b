"""Applies a declared catalogue: catalog.yaml or the admin route's body, one project in one transaction."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Clock
from writer import outbox
from writer.catalogue import placement, store, tables
from writer.catalogue.declared import ProjectCatalog
from writer.catalogue.mirror import commit_all
from writer.operations.audit import Actor
from writer.operations.projects import Project
from writer.refusals import ConflictError


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying did. `commits` is empty where the catalogue said nothing new."""

    commits: tuple[store.Commit, ...]
    moved_prices: frozenset[str]
    """Prices whose project changed: whose subscriptions and purchases are to be assigned again."""


async def apply(
    connection: AsyncConnection, project: Project, declared: ProjectCatalog, actor: Actor, clock: Clock
) -> Applied:
    """Replace what was declared of the project; Stripe's part stays. Other projects may lose a price to it."""
    await placement.begin(connection)
    await refuse_taken(connection, project, declared)
    before = await tables.declared(connection, project.id)
    prices, products = _split(sorted(before.plans.keys() | declared.plans.keys()))
    owners = await placement.lock(connection, prices, products)
    await outbox.lock_projects(connection, owners | {project.id})
    if declared.name is not None and declared.name != project.name:
        await connection.execute(_RENAME, {"id": project.id, "name": declared.name})
    # Prices are placed by the plans' table, and only placed prices are in the version.
    await tables.set_targets(connection, project.id, sorted(declared.plans))
    placed = await placement.place(connection, prices, products)
    own = await store.commit(connection, project.id, actor, clock.now(), declared)
    others = await commit_all(connection, placed.projects - {project.id}, actor, clock)
    return Applied(tuple([own] if own else []) + tuple(others), placed.moved_prices)


async def refuse_taken(connection: AsyncConnection, project: Project, declared: ProjectCatalog) -> None:
    """ConflictError where another project's catalogue names one of the same prices or products."""
    parameters = {"project_id": project.id, "targets": sorted(declared.plans)}
    rows = (await connection.execute(_TAKEN, parameters)).all()
    if rows:
        faults = tuple(f"plans.{row.target}: is in the catalogue of project {row.public_id} already" for row in rows)
        raise ConflictError("target_taken", "a price or product can be in one project's catalogue only", faults=faults)


def _split(targets: list[str]) -> tuple[list[str], list[str]]:
    return (
        [target for target in targets if not target.startswith("prod_")],
        [target for target in targets if target.startswith("prod_")],
    )


_TAKEN: Final = text("""
SELECT l.target, p.public_id FROM plans l JOIN projects p ON p.id = l.project_id
WHERE l.origin = 'catalog' AND l.target = ANY(:targets) AND l.project_id <> :project_id ORDER BY l.target
""")

_RENAME: Final = text("UPDATE projects SET name = :name WHERE id = :id")
