"""A sidecar as a process: all that `sidecar.app` puts together, but for its ports, on simulated ground."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, Final

from common.redis_nodes import OneServer
from sidecar.app import Followed, Parts, following_with
from sidecar.metrics import Metrics
from sidecar.redis_cache import RedisCache
from sidecar.refusals import Refusals
from sidecar.settings import Settings
from tests.simulation.clocks import ProcessClock
from tests.simulation.disk import MemoryDisk
from tests.simulation.origin import HttpServer, StandInOrigin
from tests.simulation.processes import Process
from tests.simulation.redis_client import StandInClient
from tests.simulation.writer_process import Servers

if TYPE_CHECKING:
    from common.clock import Clock

_ANSWER_SECONDS: Final = 5.0
_CONNECTIONS: Final = 50


class SidecarProcess:
    """One life of a sidecar; start another for the next. `disk` outlives it."""

    def __init__(
        self, servers: Servers, process: Process, rng: Random, choose: Callable[[], HttpServer], disk: MemoryDisk | None
    ) -> None:
        self.process = process
        self.clock: Clock = ProcessClock(servers.loop, process)
        self.followed: Followed | None = None
        """None until it has begun."""
        metrics = Metrics()
        refusals = Refusals(metrics)
        client: Any = StandInClient(servers.network, servers.redis, rng, _CONNECTIONS, _ANSWER_SECONDS)
        settings = Settings.from_mapping(
            {
                "SIDECAR_PROJECT": ",".join(servers.projects),
                "SIDECAR_API_KEY": ",".join(["test-key"] * len(servers.projects)),
                "REDIS_URL": "redis://simulated",
                "WRITER_URL": "http://simulated",
                "SIDECAR_SNAPSHOT_EVERY": "5s",
                "SIDECAR_INSTANCE": process.name,
            }
        )
        origin = StandInOrigin(servers.network, choose)
        cache = RedisCache(OneServer(client, moves=False), refusals)
        self._parts = Parts(settings, cache, origin, disk, metrics, refusals, self.clock, rng)
        self._loop = servers.loop

    def start(self) -> None:
        """Begin to run."""
        self._loop.start(self.process, self._run(), f"run {self.process}")

    async def _run(self) -> None:
        async with following_with(self._parts) as followed:
            self.followed = followed
            await asyncio.get_running_loop().create_future()
