"""While nothing goes wrong, what is committed reaches who listens at once, and not only with the next heartbeat."""

import asyncio
from typing import TYPE_CHECKING, Final

from common import keys
from common.identifiers import ProjectId

if TYPE_CHECKING:
    from tests.simulation.sidecar_process import SidecarProcess
    from tests.simulation.world import World

PROMPT_SECONDS: Final = 0.8
"""Within which a change is everywhere: the slowest of messages, and what another writer commits is seen late."""
_QUIET_SECONDS: Final = 8.0
"""After a fault: connections come back within five seconds, and are caught up with."""
_BEATING_SECONDS: Final = 1.5
_LOOK_SECONDS: Final = 0.05


class Promptness:
    """Looks at all sidecars again and again."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._listening: dict[tuple[SidecarProcess, ProjectId], float] = {}

    async def watch(self) -> None:
        """Look, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            faults, now = self._world.faults, self._world.servers.loop.now
            quiet = not faults.lasting and (not faults.injected or now - faults.last_at > _QUIET_SECONDS)
            for slot in self._world.sidecars:
                for name in self._world.servers.projects:
                    self._look(slot.life, name, now, quiet=quiet)

    def _look(self, sidecar: "SidecarProcess", name: ProjectId, now: float, *, quiet: bool) -> None:
        project = None if sidecar.followed is None else sidecar.followed.projects[name]
        listens = (
            project is not None
            and project.replica.synced
            and self._world.servers.redis.listens(sidecar.process, keys.channel(name))
        )
        if not listens:
            self._listening.pop((sidecar, name), None)
            return
        since = self._listening.setdefault((sidecar, name), now)
        beating = now - self._world.redis_oracle.beat_at.get(name, float("-inf")) < _BEATING_SECONDS
        if not quiet or not beating or now - since < PROMPT_SECONDS:
            return
        truth = min(
            self._world.oracle.histories.of[name].heads_since(now - PROMPT_SECONDS), key=lambda one: one.position
        )
        position = None if project is None else project.position
        if position is not None and truth.position > position:
            self._world.oracle.fail(
                f"{sidecar.process}/{name} stands at {position.token}, {PROMPT_SECONDS:g} s after "
                f"{truth.position.token} was committed, and nothing is wrong [7]"
            )
