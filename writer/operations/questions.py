"""What operators ask: nothing is written."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.clock import Clock, Instant
from common.document import Document
from common.identifiers import FeatureCode, ProjectId, UserId
from writer import history
from writer.db.readings import Readings
from writer.db.transaction import Transactions
from writer.documents import Documents
from writer.explain.explain import Explain
from writer.explain.view import Question
from writer.operations import bought, figures, projects, relaying, sidecars
from writer.operations.bought import Bought
from writer.operations.figures import Figures, Period
from writer.operations.projects import Project
from writer.operations.sidecars import Following, SidecarDirectory
from writer.recompute import Recompute


class Questions:
    """Every method raises RefusedError where there is nothing of that name."""

    def __init__(
        self,
        engine: AsyncEngine,
        transactions: Transactions,
        recompute: Recompute,
        clock: Clock,
        readings: Readings,
    ) -> None:
        """`readings`: where lists and history come from."""
        self._engine = engine
        self._transactions = transactions
        self._recompute = recompute
        self._clock = clock
        self._readings = readings
        self._documents = Documents(engine, clock)

    async def document(self, project: Project, user: UserId) -> Document:
        """What a user holds, as committed."""
        return (await self._documents.held(project.id, user)).document

    async def explain(self, question: Question, directory: SidecarDirectory | None) -> dict[str, Any]:
        """Why a user has a feature or not, in the shape that `explain.telling.whole` says.

        `directory` tells where sidecars are; None: nobody here can say.
        """
        return await Explain(self._engine, self._recompute, self._clock, directory).answer(question)

    async def sidecars(self, name: str, directory: SidecarDirectory) -> Following:
        """Who relays a project and who follows it, and how far each is; CacheFaultError where Redis is away."""
        listed = await directory.listed(ProjectId(name))

        async def work(connection: AsyncConnection) -> Following:
            project = await projects.find(connection, name)
            found = await sidecars.standing(connection, project, listed, self._clock.now())
            return Following(project, await relaying.read(connection, project), found)

        return await self._transactions.run(work)

    async def bought(self, object_id: str) -> Sequence[Bought]:
        """A subscription or purchase as held, or all that a customer (`cus_…`) bought; empty where none is held."""

        async def work(connection: AsyncConnection) -> Sequence[Bought]:
            if object_id.startswith("cus_"):
                return await bought.by_customer(connection, object_id)
            found = await bought.find(connection, object_id)
            return [] if found is None else [found]

        return await self._transactions.run(work)

    async def held_at(self, project: str, user: UserId, feature: FeatureCode | None, moment: Instant) -> dict[str, Any]:
        """What a user held at a moment, and why; `history.at` says in which shape."""

        async def work(connection: AsyncConnection) -> dict[str, Any]:
            question = history.Question(await projects.find(connection, project), user, feature)
            return await history.at(connection, question, moment)

        return await self._readings.run(work)

    async def history(
        self,
        project: str,
        user: UserId,
        feature: FeatureCode | None,
        until: Instant,
        limit: int,
        before: tuple[int, int] | None = None,
    ) -> list[dict[str, Any]]:
        """What changed for a user, newest first; `history.changes` says in which shape.

        `before`: only what changed before that epoch and revision.
        """

        async def work(connection: AsyncConnection) -> list[dict[str, Any]]:
            question = history.Question(await projects.find(connection, project), user, feature)
            return await history.changes(connection, question, until, limit, before)

        return await self._readings.run(work)

    async def figures(self, period: Period, project: str | None = None) -> Sequence[Figures]:
        """What a project earned, or each of them."""

        async def work(connection: AsyncConnection) -> Sequence[Figures]:
            one = None if project is None else (await projects.find(connection, project)).id
            return await figures.read(connection, period, one)

        return await self._readings.run(work)
