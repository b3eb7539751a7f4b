"""Faults, as they happen to a world: each begins, and what lasts ends by itself or when all faults stop."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from random import Random
from typing import TYPE_CHECKING, Final

from tests.simulation.backups import Backups
from tests.simulation.network import Condition
from tests.simulation.plan import Fault, Planned
from tests.simulation.postgres_faults import PostgresFaults
from tests.simulation.processes import Process, State
from tests.simulation.redis_faults import RedisFaults
from writer.db.engine import LOST_AFTER_SECONDS

if TYPE_CHECKING:
    from tests.simulation.sidecar_process import SidecarProcess
    from tests.simulation.world import Slot, World
    from tests.simulation.writer_process import WriterProcess

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
        self._backups = Backups()
        redis, postgres = RedisFaults(world, rng, self._backups), PostgresFaults(world, rng, self._backups)
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
            Fault.FLUSH: redis.flush,
            Fault.FLUSH_IN_REFILL: redis.flush_in_refill,
            Fault.RESTART_REDIS: redis.restart,
            Fault.FAIL_OVER: redis.fail_over,
            Fault.EVICT: redis.evict,
            Fault.OUT_OF_MEMORY: redis.refuse_growth,
            Fault.READ_ONLY: redis.read_only,
            Fault.DELETE_BY_HAND: redis.delete_by_hand,
            Fault.TRIM_LOG: redis.trim_log,
            Fault.TRIM_OUTBOX: postgres.trim_outbox,
            Fault.RESTORE: postgres.restore,
            Fault.RESTORE_AND_FLUSH: postgres.restore_and_flush,
            Fault.RESTORE_UNSEEN: postgres.restore_unseen,
            Fault.RESTART_POSTGRES: postgres.restart,
            Fault.JUMP: self._jump,
        }

    async def run(self) -> None:
        """Inject each at its time."""
        began = self._world.servers.loop.now
        async with asyncio.TaskGroup() as group:
            group.create_task(self._backups.keep(self._world.servers))
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
