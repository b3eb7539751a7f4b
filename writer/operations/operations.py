"""What operators do, each act one transaction: the same for the admin routes, the command line and a Python prompt."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.clock import Clock, Instant
from common.document import Document
from common.identifiers import FeatureCode, ProjectId, UserId
from common.position import Position
from writer import history
from writer.apply.assignment import Assignment
from writer.apply.mirror import Mirrored
from writer.catalogue import apply, mirror, placement, store
from writer.catalogue.declared import ProjectCatalog
from writer.catalogue.mirror import CatalogueSource, StripeMirror
from writer.db.readings import Readings
from writer.db.transaction import Transactions
from writer.documents import Documents
from writer.explain.explain import Explain
from writer.explain.view import Question
from writer.operations import (
    audit,
    catalogue_plan,
    catalogue_view,
    grants,
    keys,
    projects,
    relaying,
    sidecars,
)
from writer.operations.audit import Act, Actor
from writer.operations.catalogue_plan import Plan
from writer.operations.catalogue_push import CataloguePush
from writer.operations.events import Events
from writer.operations.grants import Granted, GrantOrder, Revoked
from writer.operations.jobs import Jobs
from writer.operations.keys import Key, NewKey
from writer.operations.preview import Preview
from writer.operations.projects import Changes, Project
from writer.operations.relaying import Relay
from writer.operations.sidecars import Following, SidecarDirectory
from writer.operations.views import Views
from writer.outbox import Cause
from writer.recompute import Recompute, UserKey, lock_users
from writer.refusals import UnknownError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A user computed again: where the project stands, and whether the document changed."""

    position: Position
    changed: bool


class Operations:
    """Every method raises RefusedError where it will not; `on_commit` is called after something was committed."""

    def __init__(
        self,
        engine: AsyncEngine,
        transactions: Transactions,
        recompute: Recompute,
        clock: Clock,
        on_commit: Callable[[], None],
        readings: Readings | None = None,
    ) -> None:
        """`readings`: where lists and history come from; by default from the same engine."""
        self._transactions = transactions
        self._recompute = recompute
        self._clock = clock
        self._on_commit = on_commit
        self._assignment = Assignment(engine, transactions, recompute)
        self._mirror = StripeMirror(clock)
        self._documents = Documents(engine, clock)
        self._readings = readings or Readings(engine)
        self.events = Events(transactions, self._readings, on_commit)
        self.jobs = Jobs(transactions, recompute, clock)
        self.push = CataloguePush(transactions)
        self.views = Views(self._readings, clock)
        self.preview = Preview(engine, recompute, clock)
        self._engine = engine
        self._snapshots = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    async def create_project(self, public_id: str, name: str, hosts: Sequence[str], actor: Actor) -> Project:
        """A new project, together with whatever already names it: Stripe's products and prices, and what was bought."""

        async def work(connection: AsyncConnection) -> tuple[Project, frozenset[str]]:
            await placement.begin(connection)
            await projects.create(connection, public_id, name, hosts, actor, self._clock.now())
            placed = await placement.place_named(connection, public_id)
            await store.commit(connection, placed.projects, actor, self._clock.now())
            return await projects.find(connection, public_id), placed.moved_prices

        project, moved = await self._run(work)
        await self._assign_again(moved, actor)
        if await self._assignment.of_project(public_id, _cause(actor)):
            self._on_commit()
        return project

    async def list_projects(self) -> Sequence[Project]:
        """Every project."""
        return await self._readings.run(projects.list_all)

    async def project(self, name: str) -> Project:
        """The project of that public id."""
        return await self._transactions.run(lambda connection: projects.find(connection, name))

    async def project_by_any_id(self, name: str | int) -> Project:
        """The project of that public id, or else of that internal one."""

        async def work(connection: AsyncConnection) -> Project:
            try:
                return await projects.find(connection, str(name))
            except UnknownError:
                if not str(name).isascii() or not str(name).isdecimal():
                    raise
                return await projects.find_by_id(connection, int(name))

        return await self._transactions.run(work)

    async def document(self, project: Project, user: UserId) -> Document:
        """What a user holds, as committed."""
        return (await self._documents.held(project.id, user)).document

    async def explain(self, question: Question, directory: SidecarDirectory | None) -> dict[str, Any]:
        """Why a user has a feature or not, in the shape that `explain.telling.whole` says.

        `directory` tells where sidecars are; None: nobody here can say.
        """
        return await Explain(self._engine, self._recompute, self._clock, directory).answer(question)

    async def sidecars(self, name: str, directory: SidecarDirectory) -> Following:
        """Who relays a project and who follows it, and how far each is; CacheFaultError where Redis is away."""
        listed = await directory.listed(ProjectId(name))

        async def work(connection: AsyncConnection) -> Following:
            project = await projects.find(connection, name)
            found = await sidecars.standing(connection, project, listed, self._clock.now())
            return Following(project, await relaying.read(connection, project), found)

        return await self._transactions.run(work)

    async def release_relay(self, project: str, reason: str | None, actor: Actor) -> Relay:
        """Free the lease of a writer that is no more."""
        return await self._on_project(project, lambda c, found: relaying.release(c, found, reason, actor))

    async def held_at(self, project: str, user: UserId, feature: FeatureCode | None, moment: Instant) -> dict[str, Any]:
        """What a user held at a moment, and why; `history.at` says in which shape."""

        async def work(connection: AsyncConnection) -> dict[str, Any]:
            question = history.Question(await projects.find(connection, project), user, feature)
            return await history.at(connection, question, moment)

        return await self._readings.run(work)

    async def history(
        self, project: str, user: UserId, feature: FeatureCode | None, until: Instant, limit: int
    ) -> list[dict[str, Any]]:
        """What changed for a user, newest first; `history.changes` says in which shape."""

        async def work(connection: AsyncConnection) -> list[dict[str, Any]]:
            question = history.Question(await projects.find(connection, project), user, feature)
            return await history.changes(connection, question, until, limit)

        return await self._readings.run(work)

    async def update_project(self, name: str, changes: Changes, actor: Actor) -> Project:
        """Change a project's settings."""
        return await self._run(lambda connection: projects.update(connection, name, changes, actor))

    async def create_key(self, project: str, app: str, expires_at: Instant | None, actor: Actor) -> NewKey:
        """A key for one of the project's apps."""
        return await self._on_project(
            project, lambda c, found: keys.create(c, found, app, expires_at, actor, self._clock.now())
        )

    async def list_keys(self, project: str) -> Sequence[Key]:
        """The project's keys."""
        return await self._on_project(project, keys.list_all)

    async def rotate_key(self, project: str, key_id: int, overlap: timedelta, actor: Actor) -> NewKey:
        """A new key beside the old one, which ends after the overlap."""
        return await self._on_project(
            project, lambda c, found: keys.rotate(c, found, key_id, overlap, actor, self._clock.now())
        )

    async def revoke_key(self, project: str, key_id: int, reason: str | None, actor: Actor) -> Key:
        """End a key now."""
        return await self._on_project(project, lambda c, found: keys.revoke(c, found, key_id, reason, actor))

    async def grant(self, project: str, order: GrantOrder, actor: Actor) -> Granted:
        """Give a feature to a user."""
        return await self._on_project(
            project, lambda c, found: grants.create(c, self._recompute, found, order, actor, self._clock.now())
        )

    async def revoke_grant(
        self, project: str, which: int | tuple[UserId, FeatureCode], reason: str, actor: Actor
    ) -> Revoked:
        """Take grants back."""
        return await self._on_project(
            project, lambda c, found: grants.revoke(c, self._recompute, found, which, reason, actor)
        )

    async def recompute_user(self, project: str, user: UserId, actor: Actor) -> Recomputed:
        """Compute one user again, now; UnknownError `unknown_user` for somebody who never was."""

        async def work(connection: AsyncConnection, found: Project) -> Recomputed:
            key = UserKey(found.id, user)
            if not (await connection.execute(_IS_KNOWN, {"project_id": found.id, "user_id": user})).scalar_one():
                raise UnknownError(
                    "unknown_user", f"project {project} has no user {user}: nothing was bought or granted"
                )
            ref = (await lock_users(connection, [key]))[key]
            await audit.record(connection, actor, Act("user.recompute", found.id, f"user:{user}"))
            revisions = await self._recompute.users(connection, [ref], _cause(actor))
            return Recomputed((await projects.find_by_id(connection, found.id)).position, bool(revisions))

        return await self._on_project(project, work)

    async def recompute_project(self, project: str, actor: Actor) -> int:
        """Have every user of a project computed again in the background; the job's id."""

        async def work(connection: AsyncConnection, found: Project) -> int:
            await audit.record(connection, actor, Act("project.recompute", found.id, f"project:{project}"))
            return await store.add_job(connection, found.id, _cause(actor).name, None)

        return await self._on_project(project, work)

    async def catalogue(self, project: str) -> catalogue_view.CatalogueView:
        """What was declared and what is in force."""
        return await self._on_project(project, catalogue_view.read)

    async def plan_catalogues(self, declared: Mapping[ProjectId, ProjectCatalog]) -> dict[ProjectId, Plan]:
        """What `apply_catalogues` would change, and for how many users. Nothing is locked and nothing kept."""
        async with self._snapshots.connect() as connection:
            edits = [apply.Edit(await projects.find(connection, name), one) for name, one in declared.items()]
            return await catalogue_plan.foresee(connection, edits, self._recompute.grace, self._clock.now())

    async def apply_catalogue(self, project: str, declared: ProjectCatalog, actor: Actor) -> apply.Applied:
        """Put `declared` in force; what was bought by prices that changed their project follows them."""
        return await self.apply_catalogues({ProjectId(project): declared}, actor)

    async def apply_catalogues(self, declared: Mapping[ProjectId, ProjectCatalog], actor: Actor) -> apply.Applied:
        """Put the catalogues of several projects in force, all or none."""

        async def work(connection: AsyncConnection) -> apply.Applied:
            edits = [apply.Edit(await projects.find(connection, name), one) for name, one in declared.items()]
            return await apply.apply(connection, edits, actor, self._clock)

        applied = await self._run(work)
        await self._assign_again(applied.prices, actor)
        return applied

    async def sync_catalogue(self, source: CatalogueSource, actor: Actor) -> Mirrored:
        """Mirror all of Stripe's products and prices."""
        done = await mirror.sync(self._transactions, source, self._mirror, actor)
        self._on_commit()
        await self._assign_again(done.moved_prices, actor)
        return done

    async def _assign_again(self, prices: frozenset[str], actor: Actor) -> None:
        if prices and await self._assignment.of_prices(prices, _cause(actor)):
            self._on_commit()

    async def _on_project(self, name: str, work: Callable[[AsyncConnection, Project], Awaitable[T]]) -> T:
        async def on_found(connection: AsyncConnection) -> T:
            return await work(connection, await projects.find(connection, name))

        return await self._run(on_found)

    async def _run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        result = await self._transactions.run(work)
        self._on_commit()
        return result


def _cause(actor: Actor) -> Cause:
    return Cause(f"operator:{actor.name}")


_IS_KNOWN: Final = text("""
SELECT EXISTS (SELECT FROM users WHERE project_id = :project_id AND user_id = :user_id)
""")
