"""A whole new copy of a project, loaded aside: from Redis, or from the writer's snapshot.

Whoever loads has subscribed before, and keeps what arrives meanwhile.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol, assert_never

from common.catalogue import Catalogue
from common.clock import Clock
from common.identifiers import ProjectId
from common.position import Position
from common.transfer import SnapshotHead
from sidecar.catchup import Apply, ChangeLog, fill_from_log
from sidecar.replica import Applied, Copy
from sidecar.sources import CacheMeta, Live, Source, UnavailableError, UnreadableError

_LOG_READS: Final = 4
_LOG_PAUSE: Final = 0.05  # a document stands in Redis a moment before Redis says so


class Cache(ChangeLog, Protocol):
    """What Redis holds of a project."""

    async def meta(self, project: ProjectId) -> CacheMeta | None:
        """What it says that it holds; None where it holds nothing."""
        ...

    async def catalogue(self, project: ProjectId) -> Catalogue | None:
        """The project's catalogue; None where it is not there."""
        ...

    async def fill(self, copy: Copy, users: int) -> None:
        """Take every document, of which there are about `users`, into an empty copy; what is none is passed over."""
        ...


class Snapshot(Protocol):
    """A snapshot that is being read."""

    head: SnapshotHead

    async def fill(self, copy: Copy) -> None:
        """Take every document; UnreadableError where the snapshot ends early, or something in it is none."""
        ...


class SnapshotOrigin(Protocol):
    """The writer's snapshot."""

    def snapshot(self, project: ProjectId) -> AbstractAsyncContextManager[Snapshot]:
        """Every document at one position."""
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """A copy that nobody answers from yet."""

    copy: Copy
    source: Source
    current_at: float | None
    """When it was known to hold everything committed (monotonic seconds); None where its source cannot tell."""
    age: float = 0.0
    """Where it cannot: for how many seconds it may have been out of date already."""


class Bootstrap:
    """Loads copies of one project from what there is."""

    def __init__(self, project: ProjectId, cache: Cache | None, origin: SnapshotOrigin | None, clock: Clock) -> None:
        self._project = project
        self._cache = cache
        self._origin = origin
        self._clock = clock

    async def load(self, source: Live) -> Loaded:
        """Load everything from one source.

        Raises:
            UnavailableError: it does not answer.
            UnreadableError: it has nothing usable.
        """
        match source:
            case Source.REDIS:
                return await self._from_redis()
            case Source.WRITER:
                return await self._from_writer()
            case _:
                assert_never(source)

    async def _from_redis(self) -> Loaded:
        if self._cache is None:
            raise UnavailableError("REDIS_URL is not set")
        before = await self._usable_meta(self._cache)
        catalogue = await self._cache.catalogue(self._project)
        if catalogue is None:
            raise UnreadableError("the catalogue is missing")
        copy = Copy(self._project, catalogue, before.position, before.count)
        await self._cache.fill(copy, before.count)
        after = await self._catch_up(self._cache, copy, before)
        copy.compare(after.position, after.count, after.digest)
        return Loaded(copy, Source.REDIS, None)

    async def _usable_meta(self, cache: Cache) -> CacheMeta:
        meta = await cache.meta(self._project)
        if meta is None:
            raise UnreadableError("it holds nothing of the project")
        if meta.refilling:
            raise UnreadableError("it is being filled")
        return meta

    async def _catch_up(self, cache: Cache, copy: Copy, before: CacheMeta) -> CacheMeta:
        """Bring the copy to where Redis says that it stands now, if that can be: there a digest is known."""
        for number in range(_LOG_READS):
            if number:
                await asyncio.sleep(_LOG_PAUSE)
            after = await self._usable_meta(cache)
            # Whoever flushed or refilled Redis while we read has left us a part of it.
            if after.position < before.position or after.position.epoch != before.position.epoch:
                raise UnreadableError("it was filled anew while it was read")
            last = max(after.position, copy.horizon)
            await fill_from_log(cache, self._project, copy.position, _up_to(copy, last), last)
            if copy.consistent and copy.position == after.position:
                break
        return after

    async def _from_writer(self) -> Loaded:
        if self._origin is None:
            raise UnavailableError("WRITER_URL is not set")
        asked_at = self._clock.monotonic()
        async with self._origin.snapshot(self._project) as snapshot:
            head = snapshot.head
            copy = Copy(self._project, head.catalogue, head.position, head.count)
            await snapshot.fill(copy)
        copy.compare(head.position, head.count, head.digest)
        return Loaded(copy, Source.WRITER, asked_at)


def _up_to(copy: Copy, last: Position) -> Apply:
    return lambda change: copy.apply(change) if change.position <= last else Applied.NOT_NEWER
