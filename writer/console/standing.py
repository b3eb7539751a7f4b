"""Where the sidecars of each project stand."""

from collections.abc import Sequence
from dataclasses import dataclass

from common.clock import Instant
from writer.operations import sidecars
from writer.operations.projects import Project
from writer.operations.sidecars import Sidecar, SidecarDirectory, State
from writer.relay.project_relay import CacheFaultError


@dataclass(frozen=True, slots=True)
class Standing:
    """A project's sidecars; `away`: Redis does not answer."""

    project: Project
    sidecars: Sequence[Sidecar] = ()
    away: bool = False

    @property
    def out_of_step(self) -> int:
        """How many are not in step."""
        return sum(one.state is not State.IN_STEP for one in self.sidecars)


async def every_standing(directory: SidecarDirectory, projects: Sequence[Project], now: Instant) -> list[Standing]:
    """Of each of these projects; where Redis is away it is asked once, not for each."""
    standings: list[Standing] = []
    for project in projects:
        if standings and standings[-1].away:
            standings.append(Standing(project, away=True))
            continue
        try:
            listed = await directory.listed(project.public_id)
        except CacheFaultError:
            standings.append(Standing(project, away=True))
        else:
            standings.append(Standing(project, sidecars.judged(listed, project.position, now)))
    return standings
