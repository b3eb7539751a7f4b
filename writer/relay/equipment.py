"""What the stations of one writer share."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.clock import Clock
from common.identifiers import UserId
from writer.cache.copy import CacheCopy
from writer.cache.redis_cache import RedisCache
from writer.db.transaction import Transactions
from writer.lineage import LineageKeeper
from writer.outbox import Cause, Revision
from writer.recompute import Recompute, UserKey, lock_users
from writer.relay.backlog import Backlog
from writer.relay.heads import Heads
from writer.relay.lease import Leases
from writer.relay.metrics import RelayMetrics
from writer.relay.presence import Presences
from writer.relay.project_snapshot import ProjectSnapshots
from writer.supervision import Outage
from writer.wakeup import Wakeup

RecomputeUser = Callable[[int, UserId, bool], Awaitable[object]]
"""Computes one user's document by the ordinary path: (projects.id, user, whether it gets a revision in any case)."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """Built once by `RelayStation`."""

    engine: AsyncEngine
    heads: Heads
    leases: Leases
    lineage: LineageKeeper
    backlog: Backlog
    snapshots: ProjectSnapshots
    cache: RedisCache
    copy: CacheCopy
    presences: Presences
    clock: Clock
    metrics: RelayMetrics
    recompute_user: RecomputeUser
    redis_outage: Outage
    database_outage: Outage
    refills: asyncio.Semaphore
    """Each refill holds one of the pool's connections: requests need the others."""
    ttl: float | None
    """`CACHE_TTL`: seconds that a document lives without renewal; None: for ever."""


def recomputing(transactions: Transactions, recompute: Recompute, relay: Wakeup) -> RecomputeUser:
    """Computes a user whose document was found missing or wrong; `relay` is woken where that made a revision."""

    async def recompute_user(project_id: int, user: UserId, anew: bool) -> None:
        async def work(connection: AsyncConnection) -> list[Revision]:
            refs = await lock_users(connection, [UserKey(project_id, user)])
            return await recompute.users(connection, list(refs.values()), Cause("repair:cache"), anew=anew)

        if await transactions.run(work):
            relay.notify()

    return recompute_user
