"""Applies declared catalogues: catalog.yaml or the admin route's body, in one transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Clock
from writer import outbox
from writer.catalogue import placement, store, tables
from writer.catalogue.declared import ProjectCatalog
from writer.operations.audit import Actor
from writer.operations.projects import Project
from writer.refusals import ConflictError


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying did. `commits` is empty where the catalogue said nothing new."""

    commits: tuple[store.Commit, ...]
    moved_prices: frozenset[str]
    """Prices whose project changed: whose subscriptions and purchases are to be assigned again."""
    prices: frozenset[str]
    """All that the catalogues name: what was bought by them is looked at, in case assigning was cut off before."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One project's catalogue as it shall be."""

    project: Project
    declared: ProjectCatalog


async def apply(connection: AsyncConnection, edits: Sequence[Edit], actor: Actor, clock: Clock) -> Applied:
    """Replace what was declared of these projects; Stripe's part stays. Other projects may lose a price to them.

    All together, so that a price can move from one of them to another.
    """
    await placement.begin(connection)
    await refuse_taken(connection, edits)
    touched: set[str] = set()
    for edit in edits:
        before = await tables.declared(connection, edit.project.id)
        touched |= before.plans.keys() | edit.declared.plans.keys()
        # Prices are placed by the plans' table, and only placed prices are in the version.
        await tables.set_targets(connection, edit.project.id, sorted(edit.declared.plans))
    prices, products = split(touched)
    placed = await placement.place(connection, prices, products)
    declared = {edit.project.id: edit.declared for edit in edits}
    concerned = placed.projects | declared.keys()
    renamed = {
        edit.project.id: edit.declared.name for edit in edits if edit.declared.name not in {None, edit.project.name}
    }
    if renamed:  # it takes a project's lock, before which all others of the transaction are taken
        await outbox.lock_projects(connection, concerned)
    for project_id, name in renamed.items():
        await connection.execute(_RENAME, {"id": project_id, "name": name})
    commits = await store.commit(connection, concerned, actor, clock.now(), declared)
    named = await placement.covered(connection, prices, products)
    return Applied(tuple(commits), placed.moved_prices, named)


async def refuse_taken(connection: AsyncConnection, edits: Sequence[Edit]) -> None:
    """ConflictError where one price or product would be in two projects' catalogues."""
    faults = []
    owners: dict[str, Project] = {}
    for edit in edits:
        for target in sorted(edit.declared.plans):
            other = owners.setdefault(target, edit.project)
            if other is not edit.project:
                faults.append(f"plans.{target}: stands under {other.public_id} and under {edit.project.public_id}")
    parameters = {"edited": [edit.project.id for edit in edits], "targets": sorted(owners)}
    faults += [
        f"plans.{row.target}: is in the catalogue of project {row.public_id} already"
        for row in await connection.execute(_TAKEN, parameters)
    ]
    if faults:
        detail = "a price or product can be in one project's catalogue only"
        raise ConflictError("target_taken", detail, faults=tuple(faults))


def split(targets: Collection[str]) -> tuple[list[str], list[str]]:
    """Price ids and product ids, each sorted."""
    return (
        sorted(target for target in targets if not target.startswith("prod_")),
        sorted(target for target in targets if target.startswith("prod_")),
    )


_TAKEN: Final = text("""
SELECT l.target, p.public_id FROM plans l JOIN projects p ON p.id = l.project_id
WHERE l.origin = 'catalog' AND l.target = ANY(:targets) AND l.project_id <> ALL(:edited) ORDER BY l.target
""")

_RENAME: Final = text("UPDATE projects SET name = :name WHERE id = :id")
