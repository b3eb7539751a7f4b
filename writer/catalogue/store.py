"""Puts a catalogue in force: tables, version, outbox and the work that follows, in the caller's transaction."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant
from common.identifiers import ProjectId
from writer import outbox
from writer.catalogue import changes, stripe_metadata, tables
from writer.catalogue.declared import ProjectCatalog
from writer.catalogue.tables import Mirror
from writer.domain.catalogue import Definition, PriceInfo
from writer.operations import audit
from writer.operations.audit import Act, Actor
from writer.recompute import load_definition


@dataclass(frozen=True, slots=True)
class Commit:
    """A new version that was written: its number, and the job that computes those whom it concerns; None: nobody."""

    project: ProjectId
    version: int
    revision: int
    job_id: int | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A catalogue as it would be, beside the one in force."""

    declared: ProjectCatalog
    old: Definition
    new: Definition

    @property
    def is_new(self) -> bool:
        """Whether it says anything that the one in force does not."""
        return not changes.is_same(self.old, self.new)


async def draft(connection: AsyncConnection, project_id: int, declared: ProjectCatalog | None = None) -> Draft:
    """What the catalogue would be with `declared` (None: as declared last) and Stripe's mirror as it is now."""
    version = (await connection.execute(_VERSION, {"project_id": project_id})).scalar_one()
    old = await load_definition(connection, project_id, version)
    if declared is None:
        declared = await tables.declared(connection, project_id)
    return Draft(declared, old, build(version + 1, declared, await tables.mirror(connection, project_id)))


async def commit(
    connection: AsyncConnection,
    project_ids: Collection[int],
    actor: Actor,
    now: Instant,
    declared: Mapping[int, ProjectCatalog] | None = None,
) -> list[Commit]:
    """Put these projects' catalogues in force, each as one revision; left out are those that say nothing new.

    The caller holds the lock of `placement.begin`, so that of two edits the second sees the first. The projects' rows
    are locked last, when everything is worked out: every purchase waits for them.
    """
    drafts = {one: await draft(connection, one, (declared or {}).get(one)) for one in sorted(project_ids)}
    for project_id, made in drafts.items():
        if made.is_new:
            await tables.write(connection, project_id, made.declared.features, made.new)
        else:
            await tables.rename(connection, project_id, made.declared.features)
    new = {project_id: made for project_id, made in drafts.items() if made.is_new}
    await outbox.lock_projects(connection, list(new))
    return [await _put_in_force(connection, project_id, made, actor, now) for project_id, made in new.items()]


async def _put_in_force(
    connection: AsyncConnection, project_id: int, made: Draft, actor: Actor, now: Instant
) -> Commit:
    targets = changes.targets(made.old, made.new)
    new = made.new
    if targets or made.old.held_over:
        new = replace(new, held_over=changes.held_over(made.old, new))
    catalogue = await outbox.append_catalogue(connection, project_id, new, actor=actor.name, now=now)
    job_id = await add_job(connection, project_id, f"catalog:{new.version}", targets) if targets else None
    before, after = {"version": made.old.version}, {"version": new.version, "targets": targets}
    act = Act("catalog.commit", project_id, f"catalog:{new.version}", None, before, after)
    await audit.record(connection, actor, act)
    return Commit(catalogue.project_id, new.version, catalogue.revision, job_id)


async def let_go(connection: AsyncConnection, project_id: int, now: Instant) -> bool:
    """Once nobody is left to be computed: a version without what was held over. The caller is as for `commit`."""
    row = (await connection.execute(_SETTLED, {"project_id": project_id})).one()
    definition = await load_definition(connection, project_id, row.catalog_version)
    if not row.settled or not definition.held_over:
        return False
    final = replace(definition, version=definition.version + 1, held_over={})
    await outbox.append_catalogue(connection, project_id, final, actor="system", now=now)
    return True


def build(version: int, declared: ProjectCatalog, mirror: Mirror) -> Definition:
    """A version out of what was declared and what Stripe says; the declared part wins."""
    own = {code: one.feature for code, one in declared.features.items()}
    texts = {
        target: str(metadata[stripe_metadata.FEATURES_KEY])
        for target, metadata in [
            *((product_id, product.metadata) for product_id, product in mirror.products.items()),
            *((price.id, price.metadata) for price in mirror.prices),
        ]
        if stripe_metadata.FEATURES_KEY in metadata
    }
    attached = {product_id: product.features for product_id, product in mirror.products.items() if product.features}
    named, added = stripe_metadata.plans_and_features(texts, own, attached)
    plans = [*declared.plans.values(), *named.values()]
    prices = {
        price.id: PriceInfo(
            price.product_id,
            price.active,
            stripe_metadata.grant_days(price.metadata, mirror.products[price.product_id].metadata),
        )
        for price in mirror.prices
    }
    return Definition(version, {**own, **added}, {(plan.origin, plan.target): plan for plan in plans}, prices)


async def add_job(connection: AsyncConnection, project_id: int, cause: str, targets: list[str] | None) -> int:
    """Have users computed again: the holders of `targets`, or all; the job's id."""
    parameters = {
        "project_id": project_id,
        "cause": cause,
        "targets": None if targets is None else orjson.dumps(targets).decode(),
    }
    job_id: int = (await connection.execute(_ADD_JOB, parameters)).scalar_one()
    return job_id


_VERSION: Final = text("SELECT catalog_version FROM projects WHERE id = :project_id")

_SETTLED: Final = text("""
SELECT catalog_version,
    NOT EXISTS (SELECT FROM recompute_jobs WHERE project_id = :project_id AND finished_at IS NULL) AS settled
FROM projects WHERE id = :project_id
""")

_ADD_JOB: Final = text("""
INSERT INTO recompute_jobs (project_id, cause, targets)
VALUES (:project_id, :cause, CAST(CAST(:targets AS text) AS jsonb)) RETURNING id
""")
