"""Faults of the database. Each takes the seconds that what lasts does."""

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from tests.simulation.backups import Backups

if TYPE_CHECKING:
    from tests.simulation.world import World


class PostgresFaults:
    """What can happen to it."""

    def __init__(self, world: "World", rng: Random, backups: Backups) -> None:
        self._world = world
        self._rng = rng
        self._backups = backups

    async def trim_outbox(self, seconds: float) -> None:
        """Lose what is relayed."""
        postgres = self._world.servers.postgres
        database, keep = postgres.committed, self._rng.choice((0, 2, 10))
        kept = {}
        for project_id, rows in database.outbox.items():
            relayed = database.leases[project_id].relayed if project_id in database.leases else (0, 0)
            gone = [row for row in rows[: len(rows) - keep] if (row.epoch, row.revision) <= relayed]
            kept[project_id] = rows[len(gone) :]
        postgres.committed = replace(database, outbox=kept)

    async def restore(self, seconds: float) -> None:
        """Put a backup in its place: a dump, or another cluster."""
        database = self._world.servers.postgres.committed
        if self._rng.random() < 0.5:
            self._world.restore(self._rng.choice(self._backups.databases), table_oid=database.table_oid + 1)
        else:
            self._world.restore(self._rng.choice(self._backups.databases), system=f"{database.system}1")

    async def restore_and_flush(self, seconds: float) -> None:
        """The same, and Redis comes back empty."""
        self._world.servers.redis.restart()
        await self.restore(seconds)

    async def restore_unseen(self, seconds: float) -> None:
        """Put a backup in its place, and nothing about the database shows it."""
        # Whoever rolls a database back starts what writes to it anew; nothing of before is on its way any more.
        world = self._world
        for slot in world.writers:
            world.kill(slot.life.process)
        backup = self._rng.choice(self._backups.databases)
        database = world.servers.postgres.committed
        world.restore(backup, table_oid=database.table_oid, system=database.system)
        for slot in world.writers:
            slot.start()

    async def restart(self, seconds: float) -> None:
        """Start it anew, after a while."""
        postgres = self._world.servers.postgres
        postgres.restart()
        await self._world.refuse_connections(postgres.process, min(seconds, 2.5))
