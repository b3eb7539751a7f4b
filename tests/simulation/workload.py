"""What happens in a world besides faults: users and catalogues change, and sidecars are asked."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from random import Random
from typing import TYPE_CHECKING, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from common.answers import CheckQuery
from common.clock import Instant
from common.document import Entitlement
from common.identifiers import FeatureCode, ProjectId, UserId
from common.problems import Problem
from tests.simulation.processes import BEGAN, State
from tests.simulation.sidecar_process import SidecarProcess
from tests.simulation.writer_process import WriterProcess
from tests.support.history import grant
from tests.support.ledger import append, append_features
from writer.db.transaction import CatalogueMovedError, LineageMovedError

if TYPE_CHECKING:
    from tests.simulation.world import World

Work = Callable[[AsyncConnection], Awaitable[None]]

FEATURES: Final = ("pro", "export", "seats")
_ASK_SECONDS: Final = 0.3
_START_SECONDS: Final = 0.1


class Workload:
    """Changes and questions, drawn."""

    def __init__(self, world: "World", rng: Random) -> None:
        self._world = world
        self._rng = rng
        self._users = [f"user_{number}" for number in range(world.plan.users)]

    async def change(self) -> None:
        """Change something now and then, until cancelled."""
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / self._world.plan.pause))
            self.begin_change()

    def begin_change(self) -> None:
        """Have some writer commit something; it may fail, or never come to an end."""
        rng = self._rng
        project = rng.choice(list(self._world.servers.projects))
        running = [one for one in self._world.writers if one.life.process.state is not State.DEAD]
        if not running:
            return
        writer = rng.choice(running).life
        kind = rng.random()
        if kind < 0.08:
            features = rng.sample(FEATURES, rng.randint(1, len(FEATURES)))
            work = self._edit(project, features, writer.clock.now())
        else:
            chosen = rng.sample(self._users, min(len(self._users), rng.randint(2, 6) if kind < 0.16 else 1))
            work = self._set(project, {user: self._rows() for user in chosen}, writer.clock.now())
        self._world.servers.loop.start(writer.process, self._commit(writer, work), "commit")

    async def roll_out(self) -> None:
        """Restart one sidecar after the other, as a deployment does, until cancelled."""
        seconds = self._world.plan.rollout
        while seconds is not None:
            await asyncio.sleep(self._rng.expovariate(1 / seconds))
            slot = self._rng.choice(self._world.sidecars)
            if slot.life.process.state is not State.DEAD:
                self._world.kill(slot.life.process)
            slot.start()
            await asyncio.sleep(self._rng.uniform(0.0, _START_SECONDS))
            self.begin_change()  # which comes between a start's steps

    async def ask(self) -> None:
        """Ask some sidecar now and then, until cancelled."""
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / _ASK_SECONDS))
            sidecar = self._rng.choice(self._world.sidecars).life
            if sidecar.process.state is State.RUNNING and sidecar.followed is not None:
                user = self._rng.choice([*self._users, "nobody"])
                query = CheckQuery(UserId(user), FeatureCode(self._rng.choice([*FEATURES, "unheard"])))
                project = self._rng.choice(list(sidecar.followed.projects))
                self._world.servers.loop.start(sidecar.process, self._ask(sidecar, project, query), "ask")

    def _rows(self) -> tuple[Entitlement, ...]:
        rng = self._rng
        if rng.random() < 0.3:
            return ()
        codes = rng.sample(FEATURES, rng.randint(1, 2))
        ref = f"sub_{rng.randrange(1_000_000)}"
        return tuple(grant(code, rng.randint(1, 9) if code == "seats" else None, BEGAN - 1, ref=ref) for code in codes)

    def _set(self, project: ProjectId, rows: dict[str, Iterable[Entitlement]], now: Instant) -> Work:
        project_id = self._world.servers.projects[project]

        async def work(connection: AsyncConnection) -> None:
            await self._world.may_commit()
            await append(connection, project_id, rows, now)

        return work

    def _edit(self, project: ProjectId, features: list[str], now: Instant) -> Work:
        project_id = self._world.servers.projects[project]

        async def work(connection: AsyncConnection) -> None:
            await self._world.may_commit()
            await append_features(connection, project_id, features, now)

        return work

    async def _commit(self, writer: WriterProcess, work: Work) -> None:
        try:
            done = await writer.commit(work)
        except (CatalogueMovedError, LineageMovedError):
            done = False
        self._world.trace("commit", writer.process, done)

    async def _ask(self, sidecar: SidecarProcess, name: ProjectId, query: CheckQuery) -> None:
        if sidecar.followed is None:
            return
        project, oracle = sidecar.followed.projects[name], self._world.oracle
        oracle.check_answer(sidecar, project, query)
        asked_at = self._world.servers.loop.now
        try:
            judged = await sidecar.followed.answerer.check(project, query)
        except Problem:
            return  # it holds nothing yet
        if project.replica.copy is not None and query.user not in project.replica.copy.records:
            oracle.check_given(name, query, judged, asked_at, f"{sidecar.process}/{name}")
