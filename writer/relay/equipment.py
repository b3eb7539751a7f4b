"""What the stations of one writer share."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import Clock
from common.identifiers import UserId
from writer.cache.copy import CacheCopy
from writer.cache.redis_cache import RedisCache
from writer.lineage import LineageKeeper
from writer.relay.backlog import Backlog
from writer.relay.heads import Heads
from writer.relay.lease import Leases
from writer.relay.metrics import RelayMetrics
from writer.relay.presence import Presences
from writer.relay.project_snapshot import ProjectSnapshots
from writer.supervision import Outage

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
