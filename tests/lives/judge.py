"""The judge: all that must be so while nothing moves, told by the oracle, Redis, the history and what was promised."""

from random import Random
from typing import Any, Final

from tests.lives import broken, promises
from tests.lives.compare import Difference, differences
from tests.lives.goods import PROJECTS
from tests.lives.memory import Memory
from tests.lives.oracle import Oracle
from tests.lives.redis_copy import RedisCopy
from tests.lives.town import Town
from tests.lives.writer_api import WriterApi


class Judge:
    """Looks at what the writers hold and publish."""

    def __init__(self, town: Town, api: WriterApi, database: Any, copy: RedisCopy, rng: Random) -> None:
        self._town = town
        self._api = api
        self._database = database
        self._copy = copy
        self._rng = rng
        self.memory: Final = Memory(api, database, rng)

    async def remember(self) -> None:
        """Keep in mind what some hold now."""
        await self.memory.keep({project: await self._api.held(project) for project in PROJECTS})

    async def findings(self, *, last: bool) -> list[Difference]:
        """Everything that is otherwise; the `last` time the history is asked for all that was kept in mind."""
        oracle = Oracle(self._town.account())
        found = [*await self._parked(), *await promises.broken(self._town, self._api, oracle, self._rng)]
        for project in PROJECTS:
            await self._copy.caught_up(project)
        held = {project: await self._api.held(project) for project in PROJECTS}
        for project, one in held.items():
            found += await self._copy.differences(project, one)
        found += differences(oracle, held, self._town.now)
        await self.memory.keep(held)
        return found + (await self.memory.differences() if last else [])

    async def _parked(self) -> list[Difference]:
        rows = await self._database.fetch("SELECT id, type, last_error FROM webhook_events WHERE status = 'parked'")
        return [
            Difference(("", row["id"]), "parked", "applied", f"{row['type']}: {row['last_error']}")
            for row in rows
            if not row["id"].startswith(broken.PREFIX)
        ]
