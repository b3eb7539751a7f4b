"""The observer's oracle: what Postgres held at every revision, told by a reader that follows the outbox."""

import asyncio
import bisect
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from common import catalogue as catalogues
from common import document as documents
from common.catalogue import Catalogue
from common.document import Document, Entitlement
from common.position import Position

_EVERY_S: Final = 0.02
_PAGE: Final = 2_000


@dataclass(slots=True)
class Lineage:
    """One epoch of a project: what it began with, and what was committed since."""

    epoch: int
    base: int
    """It began at this revision, with what `parent` held there."""
    parent: "Lineage | None"
    began: float
    """Monotonic seconds at which it was there for certain."""
    head: int = 0
    seen: dict[int, float] = field(default_factory=dict)
    """By revision: monotonic seconds at which it was committed for certain."""
    ended: float | None = None
    """When a newer epoch was there."""
    _users: dict[str, tuple[list[int], list[Document]]] = field(default_factory=dict)
    _catalogues: tuple[list[int], list[Catalogue]] = field(default_factory=lambda: ([], []))

    def __post_init__(self) -> None:
        self.head = self.base

    def add(self, revision: int, what: Document | Catalogue, seen: float) -> None:
        """The next revision."""
        self.head, self.seen[revision] = revision, seen
        if isinstance(what, Catalogue):
            revisions, values = self._catalogues
            revisions.append(revision)
            values.append(what)
        else:
            numbers, held = self._users.setdefault(what.user_id, ([], []))
            numbers.append(revision)
            held.append(what)

    def rows(self, user: str, revision: int) -> Sequence[Entitlement]:
        """What a user held at a revision."""
        revisions, held = self._users.get(user, ([], []))
        place = bisect.bisect_right(revisions, revision)
        if place:
            return held[place - 1].entitlements
        return () if self.parent is None else self.parent.rows(user, min(self.base, revision))

    def catalogue(self, revision: int) -> Catalogue | None:
        """What was sold at a revision."""
        revisions, held = self._catalogues
        place = bisect.bisect_right(revisions, revision)
        if place:
            return held[place - 1]
        return None if self.parent is None else self.parent.catalogue(min(self.base, revision))

    def superseded(self, revision: int) -> float | None:
        """When something newer than the revision was committed for certain; None: nothing is."""
        following = self.seen.get(revision + 1)
        return self.ended if following is None else following


class Commits:
    """All lineages of one project."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.faults: list[str] = []
        """Revisions with a gap, or going back."""
        self._lineages: dict[int, Lineage] = {}

    @property
    def head(self) -> Position:
        """The newest position."""
        newest = max(self._lineages)
        return Position(newest, self._lineages[newest].head)

    @property
    def revisions(self) -> int:
        """How many were seen in all."""
        return sum(len(lineage.seen) for lineage in self._lineages.values())

    def lineage(self, epoch: int) -> Lineage | None:
        """An epoch's."""
        return self._lineages.get(epoch)

    def known(self, position: Position) -> Lineage | None:
        """The lineage of a position, once it has been seen."""
        lineage = self._lineages.get(position.epoch)
        return None if lineage is None or not lineage.base <= position.revision <= lineage.head else lineage

    def saw(self, epoch: int, head: int, rows: Sequence[Any], before: int | None, now: float) -> None:
        """Take one look at the database: the project's row, what followed, and the epoch before this one there."""
        lineage = self._lineages.get(epoch)
        if lineage is None:
            lineage = self._begin(epoch, rows[0]["revision"] - 1 if rows else head, before, now)
        for row in rows:
            if row["revision"] != lineage.head + 1:
                self.faults.append(f"{self.project}: {epoch}.{lineage.head} was followed by {epoch}.{row['revision']}")
            lineage.add(row["revision"], _body(row), now)

    def _begin(self, epoch: int, base: int, before: int | None, now: float) -> Lineage:
        newest = max(self._lineages, default=0)
        if epoch < newest:
            self.faults.append(f"{self.project}: epoch {newest} was followed by {epoch}")
        for lineage in self._lineages.values():
            if lineage.ended is None:
                lineage.ended = now
        parent = None if before is None else self._lineages.get(before)
        self._lineages[epoch] = made = Lineage(epoch, base, parent, now)
        return made


def _body(row: Any) -> Document | Catalogue:
    data = row["body"].encode()
    return documents.decode(data) if row["op"] == "user" else catalogues.decode(data)


class Reader:
    """Follows the outbox of a database that may go away, and may come back as an older one."""

    def __init__(self, url: str, projects: Sequence[str]) -> None:
        self.commits = {project: Commits(project) for project in projects}
        self.looks = 0
        self._url = url
        self._connection: Any = None
        self._looking = asyncio.Lock()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> bool:
        """Take in what was committed; False where the database cannot be asked."""
        async with self._looking:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(self._url, timeout=5, command_timeout=10)
                for project, commits in self.commits.items():
                    await self._look_at(project, commits)
            except _AWAY:
                await self.leave()
                return False
        self.looks += 1
        return True

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Let go of the database, so that it can be dropped, and leave it alone meanwhile."""
        async with self._looking:
            await self.leave()
            yield

    async def leave(self) -> None:
        """Let go of the database; the next look connects anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _look_at(self, project: str, commits: Commits) -> None:
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            row = await self._connection.fetchrow(_HEAD, project)
            if row is None:
                return
            known = commits.lineage(row["epoch"])
            after = 0 if known is None else known.head
            if known is not None and known.head == row["revision"]:
                return
            rows = await self._connection.fetch(_FOLLOWING, row["id"], row["epoch"], after, _PAGE)
        commits.saw(row["epoch"], row["revision"], rows, row["before"], time.monotonic())


# The last one is what asyncpg makes of a connection that is lost between two statements of a transaction.
_AWAY: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_HEAD: Final = """
SELECT p.id, p.epoch, p.revision,
    (SELECT max(o.epoch) FROM outbox o WHERE o.project_id = p.id AND o.epoch < p.epoch) AS before
FROM projects p WHERE p.public_id = $1
"""

_FOLLOWING: Final = """
SELECT revision, op, body FROM outbox WHERE project_id = $1 AND epoch = $2 AND revision > $3 ORDER BY revision LIMIT $4
"""
