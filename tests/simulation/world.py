"""A world: servers, writers and sidecars, what happens to them, and whether all is well in the end."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import inf
from random import Random
from typing import Any, Final, Generic, Protocol, TypeVar

from common import keys
from common.identifiers import ProjectId
from common.position import Position
from tests.simulation.determinism import drawn_from
from tests.simulation.disk import MemoryDisk
from tests.simulation.faults import Faults
from tests.simulation.loop import StuckError, VirtualLoop
from tests.simulation.network import Network
from tests.simulation.oracle import Oracle, ViolationError
from tests.simulation.origin import HttpServer
from tests.simulation.plan import Fault, Plan
from tests.simulation.postgres_engine import engine_on
from tests.simulation.postgres_server import PostgresServer
from tests.simulation.postgres_state import Database
from tests.simulation.processes import Process, State
from tests.simulation.promptness import Promptness
from tests.simulation.recovery import Recovery
from tests.simulation.redis_model import RedisModel
from tests.simulation.redis_oracle import RedisOracle
from tests.simulation.redis_server import RedisServer
from tests.simulation.sidecar_process import SidecarProcess
from tests.simulation.trace import Trace
from tests.simulation.truth import InconsistentError
from tests.simulation.workload import Workload
from tests.simulation.writer_process import Servers, WriterProcess
from tests.support.ledger import Ledger

_HOLD_SECONDS: Final = 0.2
_MOST_DRIFT: Final = 0.002


class Life(Protocol):
    """A process that was put together."""

    process: Process

    def start(self) -> None:
        """Begin to run."""
        ...


L = TypeVar("L", bound=Life)


class Slot(Generic[L]):
    """A place for a writer or sidecar: one life after another."""

    def __init__(self, make: Callable[[], L]) -> None:
        self._make = make
        self.start()

    def start(self) -> None:
        """Begin a new life."""
        self.life = self._make()
        self.life.start()


@dataclass(slots=True)
class Outcome:
    """What a world came to."""

    plan: Plan
    violation: str | None = None
    trace: list[str] = field(default_factory=list)
    hash: int = 0
    seconds: float = 0.0
    steps: int = 0
    answers: int = 0
    revisions: int = 0
    faults: Counter[Fault] = field(default_factory=Counter)
    recovery: float = 0.0
    """Seconds from when everybody heard heartbeats again until every copy was proven."""


class World:
    """Built from a plan; `run` it once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        rng = self._rng = Random(f"world {plan.seed}")
        loop = VirtualLoop(Random(f"loop {plan.seed}"))
        self.trace = Trace(lambda: loop.now)
        self.oracle = Oracle(loop, self.trace)
        network = Network(loop, Random(f"network {plan.seed}"))
        postgres = PostgresServer(loop, Process("postgres", wall_offset=rng.uniform(-0.2, 0.2)), self._committed)
        redis = RedisServer(Process("redis"), RedisModel(lambda: loop.now))
        self.redis_oracle = RedisOracle(self.oracle, redis, postgres)
        self.servers = Servers(loop, network, postgres, redis, {})
        self.writers: list[Slot[WriterProcess]] = []
        self.sidecars: list[Slot[SidecarProcess]] = []
        self.disks = [MemoryDisk() if plan.on_disk else None for _ in range(plan.sidecars)]
        self.faults = Faults(self, Random(f"faults {plan.seed}"))
        self.workload = Workload(self, Random(f"workload {plan.seed}"))
        self._rolled_back = False

    @property
    def slots(self) -> Sequence["Slot[WriterProcess] | Slot[SidecarProcess]"]:
        """All writers and sidecars."""
        return [*self.writers, *self.sidecars]

    def run(self) -> Outcome:
        """Live, and say how it went."""
        loop, outcome = self.servers.loop, Outcome(self.plan)
        with drawn_from(self.plan.seed, self.oracle):
            try:
                outcome.recovery = loop.run(self._live())
                for complaint in loop.complaints:
                    outcome.violation = f"an error that nobody took: {complaint}"
            except (ViolationError, StuckError, InconsistentError) as error:
                outcome.violation = str(error)
            finally:
                outcome.hash, outcome.seconds, outcome.steps = self.trace.hash, loop.now, loop.steps
                outcome.trace = self.trace.lines() if outcome.violation else []
                self.servers.network.over = True
                loop.bury()
        outcome.answers, outcome.faults = self.oracle.answers, self.faults.injected
        outcome.revisions = sum(len(one.truths) for one in self.oracle.histories.of.values())
        return outcome

    def kill(self, process: Process) -> None:
        """End a process; the system closes its connections."""
        self.servers.loop.kill(process)
        self.servers.network.killed(process)

    async def refuse_connections(self, process: Process, seconds: float) -> None:
        """A server is not there for so long."""
        self.servers.loop.kill(process)
        await asyncio.sleep(seconds)
        self.servers.loop.revive(process)

    def restore(self, backup: Database, **changed: Any) -> None:
        """Put the database back; `changed` is what tells that it was."""
        before = self.servers.postgres.committed
        self.redis_oracle.owned(self.servers.loop.now)
        self.servers.postgres.restore(backup, **changed)
        after = self.servers.postgres.committed
        self._rolled_back = (before.system, before.table_oid) == (after.system, after.table_oid)
        self.trace("restored", *[row.position.token for row in backup.projects.values()], self._rolled_back)
        self.oracle.histories.restored(after, self.servers.loop.now)

    async def may_commit(self) -> None:
        """Wait while somebody knows revisions that a rollback undid and that nothing but his word can tell of.

        Were their numbers given again meanwhile, nobody could tell. After other restores nobody waits.
        """
        while self._rolled_back and self._somebody_is_ahead():  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(_HOLD_SECONDS)
        self._rolled_back = False

    @contextmanager
    def disturbing(self) -> Iterator[None]:
        """Something is stopped, or held back on its way, as long as the block lasts."""
        lasts = [self.servers.loop.now, inf]
        self.oracle.disturbed.append(lasts)
        try:
            yield
        finally:
            lasts[1] = self.servers.loop.now

    async def _live(self) -> float:
        await self._found()
        workload = self.workload
        for _ in range(self.plan.users):
            workload.begin_change()
        acts = (workload.change, self.faults.run, workload.roll_out, workload.ask, Promptness(self).watch)
        tasks = [asyncio.create_task(act()) for act in acts]
        await asyncio.sleep(self.plan.life)
        for task in tasks[:3]:
            task.cancel()
        self._end_faults()
        took = await Recovery(self).run()
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        return took

    async def _found(self) -> None:
        """Projects, writers and sidecars."""
        servers, rng = self.servers, self._rng
        engine = engine_on(servers.network, servers.postgres)
        for number in range(self.plan.projects):
            ledger = await Ledger.open(engine, f"shop_{number}", epoch=1)
            servers.projects[ledger.project] = ledger.project_id
            await ledger.edit("pro", "export", "seats")
        for number in range(self.plan.writers):
            self.writers.append(Slot(partial(self._writer, f"writer_{number}")))
        for number, disk in enumerate(self.disks):
            self.sidecars.append(Slot(partial(self._sidecar, f"sidecar_{number}", disk)))
        # A backup from before the first writer looked at the database would not know which database it is.
        while servers.postgres.committed.identity is None:  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(_HOLD_SECONDS)
        await asyncio.sleep(rng.uniform(0.0, 0.5))

    def _writer(self, name: str) -> WriterProcess:
        return WriterProcess(self.servers, self._process(name), Random(self._rng.random()))

    def _sidecar(self, name: str, disk: MemoryDisk | None) -> SidecarProcess:
        life = SidecarProcess(self.servers, self._process(name), Random(self._rng.random()), self._choose_writer, disk)
        self.oracle.watch(life)
        return life

    def _process(self, name: str) -> Process:
        rng = self._rng
        return Process(
            name,
            drift=rng.uniform(-_MOST_DRIFT, _MOST_DRIFT),
            booted=rng.uniform(0.0, 1e6),
            wall_offset=rng.uniform(-0.3, 0.3),
        )

    def _choose_writer(self) -> HttpServer:
        living = [slot.life for slot in self.writers if slot.life.process.state is not State.DEAD]
        return self._rng.choice(living or [slot.life for slot in self.writers]).http

    def _end_faults(self) -> None:
        """From here on nothing goes wrong any more."""
        servers = self.servers
        self.trace("faults stop")
        servers.network.heal_all()
        servers.redis.model.refuses_growth = servers.redis.model.read_only = False
        servers.postgres.loses_acknowledgement = False
        for server in (servers.redis.process, servers.postgres.process):
            servers.loop.revive(server)
        for lasts in self.oracle.disturbed:
            lasts[1] = min(lasts[1], servers.loop.now)
        for slot in self.slots:
            slot.life.process.fuse = None
            if slot.life.process.state is State.DEAD:
                slot.start()
            servers.loop.resume(slot.life.process)

    def _committed(self, before: Database, after: Database) -> None:
        self.oracle.histories.committed(before, after, self.servers.loop.now)
        if before.leases is not after.leases:
            self.redis_oracle.owned(self.servers.loop.now)

    def _somebody_is_ahead(self) -> bool:
        for name, project_id in self.servers.projects.items():
            head = self.servers.postgres.committed.projects[project_id].position
            if any(known > head for known in self._known(name)):
                return True
        return False

    def _known(self, project: ProjectId) -> Iterator[Position]:
        for slot in self.sidecars:
            if slot.life.followed is not None and slot.life.process.state is not State.DEAD:
                yield slot.life.followed.projects[project].position or Position(0, 0)
        for disk in self.disks:
            kept = None if disk is None else disk.read(project)
            if kept is not None:
                yield kept.head.position
        meta = self.servers.redis.model.held.get(keys.meta(project)) or {}
        if b"epoch" in meta:
            yield Position(int(meta[b"epoch"]), int(meta[b"revision"]))
