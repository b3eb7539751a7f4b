"""Puts the relay's station together, with the way to compute users again whose documents Redis lost."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.clock import Clock
from common.identifiers import UserId
from writer.db.transaction import Transactions
from writer.lineage import LineageKeeper
from writer.outbox import Cause, Revision
from writer.recompute import Recompute, UserKey, lock_users
from writer.relay.heads import Heads
from writer.relay.metrics import RelayMetrics
from writer.relay.station import RelaySettings, RelayStation
from writer.wakeup import Wakeup


@dataclass(frozen=True, slots=True)
class Ground:
    """What the station stands on."""

    engine: AsyncEngine
    transactions: Transactions
    recompute: Recompute
    lineage: LineageKeeper
    wakeup: Wakeup
    metrics: RelayMetrics
    clock: Clock


def station(settings: RelaySettings, heads: Heads, ground: Ground) -> RelayStation:
    """The station; it runs once started."""

    async def recompute_user(project_id: int, user: UserId) -> list[Revision]:
        async def work(connection: AsyncConnection) -> list[Revision]:
            refs = await lock_users(connection, [UserKey(project_id, user)])
            return await ground.recompute.users(connection, list(refs.values()), Cause("repair:cache"))

        revisions = await ground.transactions.run(work)
        if revisions:
            ground.wakeup.notify()
        return revisions

    return RelayStation(settings, ground.engine, heads, ground.lineage, ground.clock, ground.metrics, recompute_user)
