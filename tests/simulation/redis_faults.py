"""Faults of Redis. Each takes the seconds that what lasts does."""

import asyncio
from random import Random
from typing import TYPE_CHECKING, Final

from common import keys
from tests.simulation.backups import Backups
from tests.simulation.processes import Process, State

if TYPE_CHECKING:
    from tests.simulation.world import World

_WITHOUT_WRITERS: Final = 0.7
_REFILL_SECONDS: Final = 0.25
_THROWN_OUT_SECONDS: Final = 0.4
_TRIM_SECONDS: Final = 0.02


class RedisFaults:
    """What can happen to it."""

    def __init__(self, world: "World", rng: Random, backups: Backups) -> None:
        self._world = world
        self._rng = rng
        self._backups = backups

    async def flush(self, seconds: float) -> None:
        """Empty it."""
        self._world.servers.redis.model.flush()

    async def flush_in_refill(self, seconds: float) -> None:
        """Empty it, and once more while it is filled again."""
        model = self._world.servers.redis.model
        model.flush()
        metas = [keys.meta(project) for project in self._world.servers.projects]
        for _ in range(2_000):
            await asyncio.sleep(0.001)
            if any(b"token" in (model.held.get(meta) or {}) for meta in metas):
                await asyncio.sleep(self._rng.random() * _REFILL_SECONDS)
                model.flush()
                return

    async def restart(self, seconds: float) -> None:
        """Start it empty, after a while."""
        redis = self._world.servers.redis
        redis.restart()
        await self._world.refuse_connections(redis.process, min(seconds, 2.5))

    async def fail_over(self, seconds: float) -> None:
        """Go on as a replica that was behind."""
        model = self._world.servers.redis.model
        before = set(model.held)
        self._world.servers.redis.restart(self._backups.dumps[0] if self._backups.dumps else None)
        self._world.redis_oracle.lost |= before - set(model.held)

    async def evict(self, seconds: float) -> None:
        """Lose keys for want of memory."""
        model = self._world.servers.redis.model
        for key in self._rng.sample(sorted(model.held), len(model.held) // self._rng.randint(2, 5)):
            model.lose(key)
        # What is short of memory ends processes and connections, too: a sidecar is left with what is left.
        slot = self._rng.choice(self._world.sidecars)
        if slot.life.process.state is State.DEAD:
            return
        without_writers = self._rng.random() < _WITHOUT_WRITERS
        if without_writers:
            self._cut_from_writers(slot.life.process)
        if self._rng.random() < 0.5:
            self._world.kill(slot.life.process)
            slot.start()
        elif without_writers:
            await self._lose_a_change(slot.life.process, 0)
        if without_writers:
            await asyncio.sleep(seconds)
            self._heal_to_writers(slot.life.process)

    def _cut_from_writers(self, sidecar: Process) -> None:
        for writer in self._world.writers:
            self._world.servers.network.cut(sidecar, writer.life.process)

    def _heal_to_writers(self, sidecar: Process) -> None:
        for writer in self._world.writers:
            self._world.servers.network.heal(sidecar, writer.life.process)

    async def refuse_growth(self, seconds: float) -> None:
        """Refuse what needs memory."""
        model = self._world.servers.redis.model
        model.refuses_growth = True
        await asyncio.sleep(seconds)
        model.refuses_growth = False

    async def read_only(self, seconds: float) -> None:
        """Refuse to be written to."""
        model = self._world.servers.redis.model
        model.read_only = True
        await asyncio.sleep(seconds)
        model.read_only = False

    async def delete_by_hand(self, seconds: float) -> None:
        """Lose documents."""
        model = self._world.servers.redis.model
        documents = sorted(key for key in model.held if key.startswith(keys.DOCUMENT_PREFIX))
        for key in self._rng.sample(documents, min(len(documents), self._rng.randint(1, 3))):
            model.lose(key)

    async def trim_log(self, seconds: float) -> None:
        """Lose the change log, just when somebody lost the connection."""
        # A Redis that is short of memory throws out who listens slowly, too.
        sidecar = self._rng.choice(self._world.sidecars).life.process
        await self._lose_a_change(sidecar, self._rng.choice((0, 0, 0, 5)))

    async def _lose_a_change(self, sidecar: Process, keep: int) -> None:
        """Have something change that a sidecar does not hear, and does not find in the log."""
        servers = self._world.servers
        model = servers.redis.model
        for connection in servers.network.link(sidecar, servers.redis.process).connections:
            connection.reset()
        self._world.workload.begin_change()
        until = servers.loop.now + _THROWN_OUT_SECONDS
        while servers.loop.now < until:
            for key in sorted(key for key in model.held if key.startswith("billing:changes:")):
                model.trim(key, keep)
            await asyncio.sleep(_TRIM_SECONDS)
