"""Faults, as they happen to a world: each begins, and what lasts ends by itself or when all faults stop."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Final

from common import keys
from tests.simulation.network import Condition
from tests.simulation.plan import Fault, Planned
from tests.simulation.processes import Process, State
from writer.db.engine import LOST_AFTER_SECONDS

if TYPE_CHECKING:
    from tests.simulation.postgres_state import Database
    from tests.simulation.redis_model import RedisModel
    from tests.simulation.sidecar_process import SidecarProcess
    from tests.simulation.world import Slot, World
    from tests.simulation.writer_process import WriterProcess

_BACKUP_SECONDS: Final = 2.0
_REFILL_SECONDS: Final = 0.25
_THROWN_OUT_SECONDS: Final = 0.4
_TRIM_SECONDS: Final = 0.02
_MOST_STEPS: Final = 60
_JUMPS: Final = (-3600.0, -60.0, -3.0, -0.5, 0.5, 3.0, 60.0, 3600.0)

Inject = Callable[[float], Awaitable[None]]


class Faults:
    """Injects what is planned, and takes backups meanwhile."""

    def __init__(self, world: "World", rng: Random) -> None:
        self.injected: Counter[Fault] = Counter()
        self.lasting, self.last_at = 0, 0.0  # how many last now, and when the last one ended
        self._world = world
        self._rng = rng
        self._backups: list[Database] = []
        self._dumps: list[RedisModel] = []
        self._inject: dict[Fault, Inject] = {
            Fault.CUT: lambda seconds: self._disturb(self._any_link(), Condition.CUT, seconds),
            Fault.STALL: lambda seconds: self._disturb(self._any_link(), Condition.STALLED, seconds),
            Fault.HALF_OPEN: self._half_open,
            Fault.DROP: self._drop,
            Fault.LOST_ACKNOWLEDGEMENT: self._lose_acknowledgement,
            Fault.PAUSE_WRITER: lambda seconds: self._pause(self._world.writers, seconds),
            Fault.PAUSE_SIDECAR: lambda seconds: self._pause(self._world.sidecars, seconds),
            Fault.KILL_WRITER: lambda seconds: self._kill(self._world.writers, seconds),
            Fault.KILL_SIDECAR: lambda seconds: self._kill(self._world.sidecars, seconds),
            Fault.CUT_FROM_POSTGRES: self._cut_from_postgres,
            Fault.FLUSH: self._flush,
            Fault.FLUSH_IN_REFILL: self._flush_in_refill,
            Fault.RESTART_REDIS: self._restart_redis,
            Fault.FAIL_OVER: self._fail_over,
            Fault.EVICT: self._evict,
            Fault.OUT_OF_MEMORY: self._refuse_growth,
            Fault.READ_ONLY: self._read_only,
            Fault.DELETE_BY_HAND: self._delete_by_hand,
            Fault.TRIM_LOG: self._trim_log,
            Fault.TRIM_OUTBOX: self._trim_outbox,
            Fault.RESTORE: self._restore,
            Fault.RESTORE_AND_FLUSH: self._restore_and_flush,
            Fault.RESTORE_UNSEEN: self._restore_unseen,
            Fault.RESTART_POSTGRES: self._restart_postgres,
            Fault.JUMP: self._jump,
        }

    async def run(self) -> None:
        """Inject each at its time."""
        began = self._world.servers.loop.now
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_backups())
            for planned in self._world.plan.faults:
                await asyncio.sleep(max(0.0, began + planned.at - self._world.servers.loop.now))
                group.create_task(self._begin(planned))

    async def _begin(self, planned: Planned) -> None:
        self._world.trace("fault", planned.fault.value, planned.seconds)
        self.injected[planned.fault] += 1
        self.lasting += 1
        try:
            await self._inject[planned.fault](planned.seconds)
        finally:
            self.lasting -= 1
            self.last_at = self._world.servers.loop.now
        self._world.trace("fault ends", planned.fault.value)

    async def _keep_backups(self) -> None:
        servers = self._world.servers
        while True:
            self._backups = [*self._backups[-3:], servers.postgres.committed]
            self._dumps = [*self._dumps[-1:], servers.redis.model.dump()]
            await asyncio.sleep(_BACKUP_SECONDS)

    # The network.

    def _any_link(self) -> tuple[Process, Process]:
        rng, servers = self._rng, self._world.servers
        writers = [slot.life.process for slot in self._world.writers]
        sidecars = [slot.life.process for slot in self._world.sidecars]
        return rng.choice(
            [
                (rng.choice(sidecars), servers.redis.process),
                (rng.choice(sidecars), rng.choice(writers)),
                (rng.choice(writers), servers.redis.process),
                (rng.choice(writers), servers.postgres.process),
            ]
        )

    async def _disturb(self, link: tuple[Process, Process], condition: Condition, seconds: float) -> None:
        network = self._world.servers.network
        self._world.trace("link", *link, condition.name)
        with self._world.disturbing() if condition is Condition.STALLED else nullcontext():
            (network.stall if condition is Condition.STALLED else network.cut)(*link)
            await asyncio.sleep(seconds)
        network.heal(*link)

    async def _cut_from_postgres(self, seconds: float) -> None:
        writer = self._rng.choice(self._world.writers).life.process
        condition = self._rng.choice((Condition.CUT, Condition.STALLED))
        await self._disturb((writer, self._world.servers.postgres.process), condition, seconds)

    async def _half_open(self, seconds: float) -> None:
        link = self._any_link()
        connections = list(self._world.servers.network.link(*link).connections)
        for connection in connections:
            connection.silent = True
        if link[1] is self._world.servers.postgres.process:
            await asyncio.sleep(LOST_AFTER_SECONDS)
            for connection in connections:
                connection.reset()

    async def _drop(self, seconds: float) -> None:
        open_ones = [c for c in self._world.servers.network.link(*self._any_link()).connections if not c.ended]
        if open_ones:
            self._rng.choice(open_ones).reset()

    async def _lose_acknowledgement(self, seconds: float) -> None:
        self._world.servers.postgres.loses_acknowledgement = True

    # Processes.

    async def _pause(self, slots: "Sequence[Slot[WriterProcess] | Slot[SidecarProcess]]", seconds: float) -> None:
        process = self._rng.choice(slots).life.process
        await self._after_steps(process)
        if process.state is State.RUNNING:
            self._world.servers.loop.pause(process)
            with self._world.disturbing():
                await asyncio.sleep(seconds)
            self._world.servers.loop.resume(process)

    async def _kill(self, slots: "Sequence[Slot[WriterProcess] | Slot[SidecarProcess]]", seconds: float) -> None:
        slot = self._rng.choice(slots)
        life = slot.life
        await self._after_steps(life.process)
        if life.process.state is not State.DEAD:
            self._world.kill(life.process)
            await asyncio.sleep(min(seconds, 3.0))
            slot.start()

    async def _after_steps(self, process: Process) -> None:
        """Wait for a moment between two of the process's steps."""
        blown: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if process.fuse is not None or process.state is not State.RUNNING:
            return

        loop = self._world.servers.loop

        def blow() -> None:
            loop.pause(process)
            if not blown.done():
                blown.set_result(None)

        process.blow = blow
        process.fuse = self._rng.randint(1, _MOST_STEPS)
        await blown
        loop.resume(process)

    async def _jump(self, seconds: float) -> None:
        processes = [slot.life.process for slot in self._world.slots]
        database = self._world.servers.postgres.process
        process, jump = self._rng.choice([*processes, database]), self._rng.choice(_JUMPS)
        # A database whose clock was set back far would keep the lease of a dead writer for as long.
        process.wall_offset += max(jump, -0.5) if process is database else jump

    # Redis.

    async def _flush(self, seconds: float) -> None:
        self._world.servers.redis.model.flush()

    async def _flush_in_refill(self, seconds: float) -> None:
        model = self._world.servers.redis.model
        model.flush()
        metas = [keys.meta(project) for project in self._world.servers.projects]
        for _ in range(2_000):
            await asyncio.sleep(0.001)
            if any(b"token" in (model.held.get(meta) or {}) for meta in metas):
                await asyncio.sleep(self._rng.random() * _REFILL_SECONDS)
                model.flush()
                return

    async def _restart_redis(self, seconds: float) -> None:
        redis = self._world.servers.redis
        redis.restart()
        await self._refuse_connections(redis.process, min(seconds, 2.5))

    async def _fail_over(self, seconds: float) -> None:
        model = self._world.servers.redis.model
        before = set(model.held)
        self._world.servers.redis.restart(self._dumps[0] if self._dumps else None)
        self._world.redis_oracle.lost |= before - set(model.held)

    async def _evict(self, seconds: float) -> None:
        model = self._world.servers.redis.model
        for key in self._rng.sample(sorted(model.held), len(model.held) // self._rng.randint(2, 5)):
            model.lose(key)
        # What is short of memory ends processes, too: one of them comes back to what is left.
        slot = self._rng.choice(self._world.sidecars)
        if self._rng.random() < 0.5 and slot.life.process.state is not State.DEAD:
            self._world.kill(slot.life.process)
            slot.start()

    async def _refuse_growth(self, seconds: float) -> None:
        model = self._world.servers.redis.model
        model.refuses_growth = True
        await asyncio.sleep(seconds)
        model.refuses_growth = False

    async def _read_only(self, seconds: float) -> None:
        model = self._world.servers.redis.model
        model.read_only = True
        await asyncio.sleep(seconds)
        model.read_only = False

    async def _delete_by_hand(self, seconds: float) -> None:
        model = self._world.servers.redis.model
        documents = sorted(key for key in model.held if key.startswith(keys.DOCUMENT_PREFIX))
        for key in self._rng.sample(documents, min(len(documents), self._rng.randint(1, 3))):
            model.lose(key)

    async def _trim_log(self, seconds: float) -> None:
        servers = self._world.servers
        model = servers.redis.model
        # A Redis that is short of memory throws out who listens slowly, too.
        sidecar = self._rng.choice(self._world.sidecars).life.process
        for connection in servers.network.link(sidecar, servers.redis.process).connections:
            connection.reset()
        self._world.workload.begin_change()  # which it does not hear, and does not find in the log
        keep, until = self._rng.choice((0, 0, 0, 5)), servers.loop.now + _THROWN_OUT_SECONDS
        while servers.loop.now < until:
            for key in sorted(key for key in model.held if key.startswith("billing:changes:")):
                model.trim(key, keep)
            await asyncio.sleep(_TRIM_SECONDS)

    # Postgres.

    async def _trim_outbox(self, seconds: float) -> None:
        postgres = self._world.servers.postgres
        database, keep = postgres.committed, self._rng.choice((0, 2, 10))
        kept = {}
        for project_id, rows in database.outbox.items():
            relayed = database.leases[project_id].relayed if project_id in database.leases else (0, 0)
            gone = [row for row in rows[: len(rows) - keep] if (row.epoch, row.revision) <= relayed]
            kept[project_id] = rows[len(gone) :]
        postgres.committed = replace(database, outbox=kept)

    async def _restore(self, seconds: float) -> None:
        database = self._world.servers.postgres.committed
        if self._rng.random() < 0.5:
            self._world.restore(self._rng.choice(self._backups), table_oid=database.table_oid + 1)
        else:
            self._world.restore(self._rng.choice(self._backups), system=f"{database.system}1")

    async def _restore_and_flush(self, seconds: float) -> None:
        self._world.servers.redis.restart()
        await self._restore(seconds)

    async def _restore_unseen(self, seconds: float) -> None:
        # Whoever rolls a database back starts what writes to it anew; nothing of before is on its way any more.
        world = self._world
        for slot in world.writers:
            world.kill(slot.life.process)
        backup = self._rng.choice(self._backups)
        database = world.servers.postgres.committed
        world.restore(backup, table_oid=database.table_oid, system=database.system)
        for slot in world.writers:
            slot.start()

    async def _restart_postgres(self, seconds: float) -> None:
        postgres = self._world.servers.postgres
        postgres.restart()
        await self._refuse_connections(postgres.process, min(seconds, 2.5))

    async def _refuse_connections(self, process: Process, seconds: float) -> None:
        loop = self._world.servers.loop
        loop.kill(process)
        await asyncio.sleep(seconds)
        loop.revive(process)
