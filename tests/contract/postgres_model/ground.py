"""What a case stands on: an engine, a project, and what only an operator does to a database."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.clock import SystemClock
from common.identifiers import UserId
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Network
from tests.simulation.postgres_engine import engine_on
from tests.simulation.postgres_server import PostgresServer
from tests.simulation.processes import Process
from tests.support.history import grant
from tests.support.ledger import Ledger
from writer import outbox
from writer.lineage import LineageKeeper
from writer.recompute import UserKey, lock_users
from writer.relay.metrics import RelayMetrics

CLOCK: Final = SystemClock()


@dataclass(frozen=True, slots=True)
class Ground:
    """One empty database, real or not."""

    engine: AsyncEngine
    move_tables: Callable[[], Awaitable[None]]
    """As after a restore of a dump: tables are others than the epochs began in."""
    move_cluster: Callable[[], Awaitable[None]]
    """As after a restore of a base backup: the database is another one."""

    async def ledger(self) -> Ledger:
        """A project named shop, in epoch 1."""
        return await Ledger.open(self.engine, epoch=1)


Case = Callable[[Ground], Awaitable[None]]


def keeper_on(ground: Ground) -> LineageKeeper:
    """A writer's, just begun."""
    return LineageKeeper(ground.engine, RelayMetrics(CollectorRegistry()), lambda: None, CLOCK)


async def grant_to(connection: AsyncConnection, ledger: Ledger, user: str) -> list[outbox.Revision]:
    """Give a user something, in the connection's transaction."""
    (ref,) = (await lock_users(connection, [UserKey(ledger.project_id, UserId(user))])).values()
    change = outbox.UserChange(ledger.project_id, ref, UserId(user), (grant(),), 0, 0)
    return await outbox.append_users(connection, [change], outbox.Cause("test"), CLOCK.now())


def on_server(engine: AsyncEngine) -> Ground:
    """A real database."""

    async def run(statement: str) -> None:
        async with engine.begin() as connection:
            await connection.execute(text(statement))

    return Ground(
        engine,
        lambda: run("UPDATE projects SET home_oid = 1"),
        lambda: run("UPDATE lineage SET identity = 'another'"),
    )


def run_on_model(case: Case) -> None:
    """Run a case on the model, without a network to speak of."""
    loop = VirtualLoop(Random(1))
    network = Network(loop, Random(2))
    network.perfect = True
    server = PostgresServer(loop, Process("postgres"), lambda *_: None)

    async def restore(**changed: Any) -> None:
        server.committed = replace(server.committed, **changed)

    engine = engine_on(network, server)
    ground = Ground(engine, lambda: restore(table_oid=101), lambda: restore(system="2"))
    try:
        loop.run(case(ground))  # type: ignore[arg-type]
        assert not loop.complaints
    finally:
        network.over = True
        loop.bury()
