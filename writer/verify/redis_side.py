"""Redis's copy against Postgres: first all documents, then once more those that did not agree.

While changes go on, Redis is a moment behind, and a snapshot that is long in reading is behind Redis. So what does not
agree at first is looked at again until it does, or has had its time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Final

from common import catalogue as catalogues
from common.catalogue import Catalogue, CatalogueError
from common.document import Document, digest_of
from common.identifiers import ProjectId, UserId
from writer.cache.copy import CacheCopy
from writer.relay.project_snapshot import ProjectSnapshots, StoredDocument
from writer.verify.report import Kind, Place, Report

PATIENCE: Final = 5.0
"""Seconds for which what does not agree may be on its way; Redis's repairs take no longer either."""

_PAUSE: Final = 0.5
_MOST_DOUBTED: Final = 10_000
_AT_ONCE: Final = 500

Tell = Callable[[int, int], None]
"""How many documents of how many were compared."""


class RedisSide:
    """Compares one project's keys."""

    def __init__(self, snapshots: ProjectSnapshots, cache: CacheCopy, patience: float = PATIENCE) -> None:
        self._snapshots = snapshots
        self._cache = cache
        self._patience = patience

    async def documents(self, project_id: int, report: Report, tell: Tell) -> None:
        """Compare every document, in both directions. CacheFaultError and the database's faults."""
        doubted: dict[UserId, None] = {}
        project = ProjectId(report.project)
        async with self._snapshots.open(project_id) as snapshot:
            total = snapshot.head.count
            async for chunk in snapshot.documents(with_empty=False):
                held = await self._cache.documents(project, [row.user_id for row in chunk])
                doubted |= dict.fromkeys(row.user_id for row in chunk if judge(held[row.user_id], row) is not None)
                report.documents += len(chunk)
                tell(report.documents, total)
            async for users in self._cache.users(project):
                known = {row.user_id for row in await snapshot.of(users) if not row.is_empty}
                held = await self._cache.documents(project, [user for user in users if user not in known])
                doubted |= dict.fromkeys(user for user, one in held.items() if one is not None and one.entitlements)
        for user, (kind, detail) in (await self._persisting(project_id, project, doubted)).items():
            report.found(Place.REDIS, kind, f"user {user}", detail)

    async def catalogue(self, project_id: int, report: Report) -> None:
        """Compare the catalogue."""
        found: tuple[Kind, str] | None = None
        async for _ in rounds(self._patience):
            data = await self._cache.catalogue(ProjectId(report.project))
            async with self._snapshots.open(project_id) as snapshot:
                found = _judge_catalogue(data, snapshot.head.catalogue)
            if found is None:
                return
        if found is not None:
            report.found(Place.REDIS, found[0], "catalogue", found[1])

    async def _persisting(
        self, project_id: int, project: ProjectId, doubted: Iterable[UserId]
    ) -> Mapping[UserId, tuple[Kind, str]]:
        """Who of these still does not agree after a while, and how."""
        left = dict.fromkeys(list(doubted)[:_MOST_DOUBTED], (Kind.DIFFERENT, ""))
        async for _ in rounds(self._patience):
            users, left = list(left), {}
            for start in range(0, len(users), _AT_ONCE):
                left |= await self._look(project_id, project, users[start : start + _AT_ONCE])
            if not left:
                break
        return left

    async def _look(self, project_id: int, project: ProjectId, users: list[UserId]) -> dict[UserId, tuple[Kind, str]]:
        # Redis first: what is newer there than a later snapshot was never committed.
        held = await self._cache.documents(project, users)
        async with self._snapshots.open(project_id) as snapshot:
            stored = {row.user_id: row for row in await snapshot.of(users)}
        judged = {user: judge(held[user], stored.get(user)) for user in users}
        return {user: finding for user, finding in judged.items() if finding is not None}


def judge(held: Document | None, row: StoredDocument | None) -> tuple[Kind, str] | None:
    """What is wrong with what Redis holds of a user, of whom Postgres holds `row`; None where nothing is."""
    if row is None or (row.is_empty and held is None):
        return (Kind.UNKNOWN, f"holds {held.position.token}") if held is not None and held.entitlements else None
    if held is None:
        return Kind.MISSING, f"Postgres holds {row.position.token}"
    if held.position != row.position:
        kind = Kind.AHEAD if held.position > row.position else Kind.BEHIND
        return kind, f"holds {held.position.token}, Postgres {row.position.token}"
    return None if digest_of(held) == row.digest else (Kind.DIFFERENT, f"at {row.position.token}")


def _judge_catalogue(data: bytes | None, right: Catalogue) -> tuple[Kind, str] | None:
    if data is None:
        return Kind.MISSING, ""
    try:
        held = catalogues.decode(data)
    except CatalogueError as error:
        return Kind.UNREADABLE, str(error)
    if held.version != right.version:
        return (Kind.BEHIND if held.version < right.version else Kind.AHEAD), f"{held.version}, not {right.version}"
    return (
        None if catalogues.to_json(held) == catalogues.to_json(right) else (Kind.DIFFERENT, f"version {held.version}")
    )


async def rounds(patience: float) -> AsyncIterator[None]:
    """Once, and again after a pause each time, for `patience` seconds."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + patience
    yield
    while loop.time() < ends:
        await asyncio.sleep(_PAUSE)
        yield
