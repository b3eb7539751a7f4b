"""The relay of one writer: takes leases, and runs a station for each project whose lease it holds."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from common import keys
from common.background import supervise
from common.clock import Clock
from common.identifiers import ProjectId
from common.settings import Secret
from writer.cache.commands import RedisCommands
from writer.cache.copy import CacheCopy
from writer.cache.link import RedisLink
from writer.cache.redis_cache import RedisCache
from writer.lineage import LineageKeeper
from writer.relay.backlog import Backlog
from writer.relay.equipment import Equipment, RecomputeUser
from writer.relay.heads import Heads
from writer.relay.lease import RENEW_SECONDS, Lease, Leases
from writer.relay.metrics import RelayMetrics
from writer.relay.presence import Presences
from writer.relay.project_snapshot import ProjectSnapshots
from writer.relay.project_station import ProjectStation
from writer.relay.watch import KeyWatch
from writer.supervision import DATABASE_FAULTS, SPREAD, Outage, jittered

_log = logging.getLogger(__name__)

_REFILLS_AT_ONCE: Final = 2
_RELEASE_SECONDS: Final = 2.0
_PRESENCE_PREFIX: Final = f"{keys.PROJECT_PREFIX}sidecar"


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """What the relay is told: where Redis is, this writer's name, and `CACHE_TTL` in seconds."""

    redis_url: Secret
    instance: str
    cache_ttl: float | None = None


class RelayStation:
    """Relays what it has leases for; `run` until cancelled, then the leases are given back."""

    def __init__(
        self,
        settings: RelaySettings,
        engine: AsyncEngine,
        heads: Heads,
        lineage: LineageKeeper,
        clock: Clock,
        metrics: RelayMetrics,
        recompute_user: RecomputeUser,
    ) -> None:
        self._link = RedisLink(settings.redis_url.reveal())
        commands = RedisCommands(self._link)
        self.presences = Presences(commands, clock)
        """For the admin API: which sidecars there are."""
        self._leases = Leases(engine, settings.instance, clock)
        self._equipment = Equipment(
            engine=engine,
            heads=heads,
            leases=self._leases,
            lineage=lineage,
            backlog=Backlog(engine),
            snapshots=ProjectSnapshots(engine),
            cache=RedisCache(commands, settings.cache_ttl),
            copy=CacheCopy(commands, settings.cache_ttl),
            presences=self.presences,
            clock=clock,
            metrics=metrics,
            recompute_user=recompute_user,
            redis_outage=Outage("Redis"),
            database_outage=Outage("the database (relay)"),
            refills=asyncio.Semaphore(_REFILLS_AT_ONCE),
            ttl=settings.cache_ttl,
        )
        self._lease_outage = Outage("the database (leases)")
        self._stations: dict[int, tuple[ProjectStation, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Relay until cancelled. Other parts may read `heads` meanwhile: they are kept current here."""
        crashed = self._equipment.metrics.crashed
        watch = KeyWatch(self._link, self)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(supervise("heads", self._equipment.heads.run, crashed, SPREAD))
                group.create_task(supervise("leases", self._keep_leases, crashed, SPREAD))
                group.create_task(supervise("watch", watch.run, crashed, SPREAD))
        finally:
            await self._end()

    def changed(self, key: str) -> None:
        """Somebody else wrote or deleted this key, or it expired or was evicted."""
        document = keys.split_document(key)
        if document is not None:
            user, project = document
            for station in self._of(project):
                station.reported(user)
        elif not key.startswith(_PRESENCE_PREFIX):
            for station in self._of(ProjectId(key.rpartition(":")[2])):
                station.nudge()

    def emptied(self) -> None:
        """All keys may be gone, or may have changed while nobody listened."""
        for station, _ in self._stations.values():
            station.doubt()

    def _of(self, project: ProjectId) -> list[ProjectStation]:
        return [station for station, _ in self._stations.values() if station.relay.lease.project == project]

    async def _keep_leases(self) -> None:
        while True:
            try:
                await self._equipment.lineage.check()
                self._follow(await self._leases.renew())
            except DATABASE_FAULTS as error:
                self._lease_outage.failed(error)
            else:
                self._lease_outage.worked()
            await asyncio.sleep(jittered(RENEW_SECONDS))

    def _follow(self, leases: dict[int, Lease]) -> None:
        for project_id, (station, task) in list(self._stations.items()):
            lease = leases.get(project_id)
            if task.done():
                del self._stations[project_id]
            elif lease is None or lease.fence != station.relay.lease.fence:
                station.lose()
            else:
                station.relay.renewed(lease)
        for project_id, lease in leases.items():
            if project_id not in self._stations:
                station = ProjectStation(lease, self._equipment)
                name = f"station:{lease.project}"
                run = supervise(name, station.run, self._equipment.metrics.crashed, SPREAD)
                self._stations[project_id] = (station, asyncio.create_task(run, name=name))
        self._equipment.metrics.held(len(self._stations))

    async def _end(self) -> None:
        tasks = [task for _, task in self._stations.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._stations.clear()
        with suppress(TimeoutError, *DATABASE_FAULTS):
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._leases.release()
        await self._link.close()
