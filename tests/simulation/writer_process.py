"""A writer as a process: the shipped relay, changes and snapshot, put together on simulated ground."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import ProjectId, UserId
from tests.simulation.clocks import ProcessClock
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Network
from tests.simulation.origin import HttpServer
from tests.simulation.postgres_engine import engine_on
from tests.simulation.postgres_server import PostgresServer
from tests.simulation.processes import Process
from tests.simulation.redis_client import Connector
from tests.simulation.redis_server import RedisServer
from tests.support.ledger import renew
from writer.cache.link import REPLY_SECONDS
from writer.changes import ChangesHandler
from writer.db.transaction import Transactions
from writer.documents import Documents
from writer.lineage import LineageKeeper
from writer.recompute import UserKey
from writer.relay.backlog import Backlog
from writer.relay.heads import Heads
from writer.relay.metrics import RelayMetrics
from writer.relay.project_snapshot import ProjectSnapshots
from writer.relay.station import RelaySettings, RelayStation
from writer.supervision import DATABASE_FAULTS
from writer.wakeup import Wakeup


@dataclass(frozen=True, slots=True)
class Servers:
    """What processes speak to."""

    loop: VirtualLoop
    network: Network
    postgres: PostgresServer
    redis: RedisServer
    projects: dict[ProjectId, int]


class WriterProcess:
    """One life of a writer; start another for the next."""

    def __init__(self, servers: Servers, process: Process, rng: Random) -> None:
        self.process = process
        self.clock = ProcessClock(servers.loop, process)
        engine = engine_on(servers.network, servers.postgres)
        metrics = RelayMetrics(CollectorRegistry())
        self.wakeup = Wakeup()
        self.connector = Connector(servers.network, servers.redis, rng, REPLY_SECONDS)
        self._loop = servers.loop
        self._lineage = LineageKeeper(engine, metrics, self.wakeup.notify, self.clock)
        self._transactions = Transactions(engine, self._lineage)
        heads = Heads(engine, self.wakeup)
        self.station = RelayStation(
            RelaySettings(self.connector, process.name),
            engine,
            heads,
            self._lineage,
            self.clock,
            metrics,
            self._recompute,
        )
        changes = ChangesHandler(Backlog(engine), heads, self._lineage, _NO_ACCESS, self.clock)
        self._documents = Documents(engine, self.clock)
        self.http = HttpServer(
            servers.loop, process, changes, ProjectSnapshots(engine), self._documents, servers.projects
        )

    def start(self) -> None:
        """Begin to run."""
        self._loop.start(self.process, self._run(), f"run {self.process}")

    async def commit(self, work: Callable[[AsyncConnection], Awaitable[object]]) -> bool:
        """Run a transaction as the pipeline would; False where its outcome is a fault, or unknown."""
        try:
            await self._transactions.run(work)
        except DATABASE_FAULTS:
            return False
        self.wakeup.notify()
        return True

    async def _run(self) -> None:
        with suppress(*DATABASE_FAULTS):
            await self._lineage.check()
        await self.station.run()

    async def _recompute(self, project_id: int, user: UserId, anew: bool) -> None:
        """Sources are not simulated: computing somebody comes to what is there."""
        if not anew:
            await asyncio.sleep(0)
            return

        async def work(connection: AsyncConnection) -> None:
            await renew(connection, self._documents, UserKey(project_id, user), self.clock.now())

        await self._transactions.run(work)
        self.wakeup.notify()


_NO_ACCESS: Any = None
