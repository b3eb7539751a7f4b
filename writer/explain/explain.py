"""Explain: may this user use that, by what, since when, and if not, what is in the way. Reads only."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import Clock
from common.identifiers import ProjectId
from writer.explain import telling, view
from writer.explain.view import Question, View
from writer.operations import relaying, sidecars
from writer.operations.sidecars import Sidecar, SidecarDirectory, State
from writer.recompute import Recompute
from writer.relay.presence import Presence
from writer.relay.project_relay import CacheFaultError

Json = dict[str, Any]


class Explain:
    """Answers from one snapshot of the primary, and asks Redis where sidecars are."""

    def __init__(
        self, engine: AsyncEngine, recompute: Recompute, clock: Clock, directory: SidecarDirectory | None
    ) -> None:
        """`directory` None: nobody here can say where sidecars are."""
        self._snapshots = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._recompute = recompute
        self._clock = clock
        self._directory = directory

    async def answer(self, question: Question) -> Json:
        """Everything, in the public shape; `telling.whole` says which. UnknownError `unknown_project`."""
        listed = await self._listed(ProjectId(question.project))
        async with self._snapshots.connect() as connection:
            now = self._clock.now()
            found = await view.read(connection, self._recompute, question, now)
            if found.past:
                return {**telling.whole(found), "relay": None, "sidecars": None}
            relay = relaying.to_json(await relaying.read(connection, found.project))
            if isinstance(listed, str):
                copies: Json = {"known": False, "reason": listed, "counts": {}, "list": []}
            else:
                copies = _copies(await sidecars.standing(connection, found.project, listed, now), found)
        return {**telling.whole(found), "relay": relay, "sidecars": copies}

    async def _listed(self, project: ProjectId) -> Sequence[Presence] | str:
        """Who follows the project; a text where nobody could be asked."""
        if self._directory is None:
            return "REDIS_URL is not set, and only at Redis sidecars say where they are"
        try:
            return await self._directory.listed(project)
        except CacheFaultError:
            return "Redis does not answer, and only there sidecars say where they are"


def _copies(told: Sequence[Sidecar], found: View) -> Json:
    """Where the copies are. Of `known` False nobody could be asked, and `reason` says why."""
    counts = Counter(one.state for one in told)
    return {
        "known": True,
        "reason": None,
        "counts": {state.value: counts[state] for state in State},
        "list": [{**sidecars.to_json(one), "lacks_document": _lacks(one, found)} for one in told],
    }


def _lacks(one: Sidecar, found: View) -> bool | None:
    """Whether it last spoke of a copy from before the user's document, and so may answer otherwise. None: unknown."""
    place = found.document.position
    if one.position is None:
        return None
    return place is not None and one.position < place
