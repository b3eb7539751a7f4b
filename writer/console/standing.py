"""Where the sidecars of each project stand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from writer.operations.operations import Operations
from writer.operations.projects import Project
from writer.operations.relaying import Relay
from writer.operations.sidecars import Sidecar, SidecarDirectory, State
from writer.relay.project_relay import CacheFaultError


@dataclass(frozen=True, slots=True)
class Standing:
    """A project's sidecars, and who relays to them; `away`: Redis does not answer."""

    project: Project
    relay: Relay | None = None
    sidecars: Sequence[Sidecar] = ()
    away: bool = False

    @property
    def out_of_step(self) -> int:
        """How many are not in step."""
        return sum(one.state is not State.IN_STEP for one in self.sidecars)


async def every_standing(
    operations: Operations, directory: SidecarDirectory, projects: Iterable[Project]
) -> list[Standing]:
    """Of each of these projects; where Redis is away it is asked once, not for each."""
    standings: list[Standing] = []
    for project in projects:
        if standings and standings[-1].away:
            standings.append(Standing(project, away=True))
            continue
        try:
            found = await operations.sidecars(project.public_id, directory)
        except CacheFaultError:
            standings.append(Standing(project, away=True))
        else:
            standings.append(Standing(found.project, found.relay, found.sidecars))
    return standings
