"""How far each project has come: one short query for all of them, shared by everyone who waits for a commit."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from common.identifiers import ProjectId
from common.position import NOWHERE, Position
from writer.db.direct import Statement
from writer.supervision import DATABASE_FAULTS, Outage, jittered, pauses
from writer.wakeup import Wakeup

POLL_SECONDS: Final = 0.2
"""How late a commit of another writer is noticed, at most; our own commits are told at once."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A position, and what is true there: how many non-empty documents, and their digest."""

    position: Position
    count: int
    digest: int


@dataclass(frozen=True, slots=True)
class Head:
    """A project's newest committed revision."""

    project_id: int
    project: ProjectId
    standing: Standing

    @property
    def position(self) -> Position:
        """The newest committed position."""
        return self.standing.position


class Heads:
    """Every project's head as last seen; `run` keeps them current, `beyond` waits for news."""

    def __init__(self, engine: AsyncEngine, wakeup: Wakeup) -> None:
        self._engine = engine
        self._wakeup = wakeup
        self._heads: dict[int, Head] = {}
        self._news: dict[int, asyncio.Event] = {}
        self._outage = Outage("the database (heads)")

    async def run(self) -> None:
        """Look at every nudge and every `POLL_SECONDS`, until cancelled."""
        backoff = pauses()
        while True:
            try:
                await self.look()
            except DATABASE_FAULTS as error:
                self._outage.failed(error)
                await asyncio.sleep(backoff.wait())
            else:
                self._outage.worked()
                backoff.reset()
                await self._wakeup.wait(jittered(POLL_SECONDS))

    async def look(self) -> None:
        """Read all heads once and wake who waits for those that moved."""
        rows = await _ALL.run_alone(self._engine, {})
        heads = {row.id: head_of(row) for row in rows}
        moved = [i for i, head in heads.items() if i not in self._heads or head.standing != self._heads[i].standing]
        self._heads = heads
        for project_id in moved:
            event = self._news.pop(project_id, None)
            if event is not None:
                event.set()

    def of(self, project_id: int) -> Head | None:
        """The head as last seen; None for a project that was not seen yet."""
        return self._heads.get(project_id)

    async def read(self, project_id: int) -> Head:
        """The head as it is now, from the database."""
        (row,) = await _ONE.run_alone(self._engine, {"project_id": project_id})
        return head_of(row)

    async def beyond(self, project_id: int, position: Position, at_most: float) -> bool:
        """Wait until the head has passed `position`, `at_most` seconds; whether it has."""
        if self._position(project_id) > position:
            return True
        try:
            async with asyncio.timeout(at_most):
                while self._position(project_id) <= position:
                    await self._news.setdefault(project_id, asyncio.Event()).wait()
        except TimeoutError:
            return False
        return True

    def _position(self, project_id: int) -> Position:
        head = self._heads.get(project_id)
        return NOWHERE if head is None else head.position


def head_of(row: Any) -> Head:
    """A head from a row of `projects`: id, public_id, epoch, revision, user_count, digest."""
    standing = Standing(Position(row.epoch, row.revision), row.user_count, int.from_bytes(row.digest, "big"))
    return Head(row.id, ProjectId(row.public_id), standing)


_ALL: Final = Statement("SELECT id, public_id, epoch, revision, user_count, digest FROM projects")
_ONE: Final = Statement(
    "SELECT id, public_id, epoch, revision, user_count, digest FROM projects WHERE id = :project_id"
)
