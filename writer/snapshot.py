"""Snapshot: every document of a project at one (epoch, revision), from the primary, streamed line by line."""

import asyncio
import logging
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final, Protocol

from aiohttp import ETag, web

from common import transfer
from common.identifiers import ProjectId
from common.problems import Problem
from writer.relay.project_snapshot import ProjectSnapshot, ProjectSnapshots
from writer.supervision import DATABASE_FAULTS

_log = logging.getLogger(__name__)

AT_ONCE: Final = 3
"""Each holds a connection of the pool; webhooks and checkouts need the others."""
_QUEUE_SECONDS: Final = 10.0
_MOST_SECONDS: Final = 300.0


class Caller(Protocol):
    """Who asked, and for which project."""

    @property
    def project_id(self) -> int:
        """projects.id."""
        ...

    @property
    def project(self) -> ProjectId:
        """The public id."""
        ...


class ProjectAccess(Protocol):
    """Lets in a project's own key and the admin key."""

    async def project_or_admin(self, request: web.Request, project: str | None) -> Caller:
        """The caller; a Problem says why not."""
        ...


class SnapshotHandler:
    """`GET /api/v1/snapshot?project_id=`: the lines of `common.transfer`; 304 for a copy that is still current."""

    def __init__(self, snapshots: ProjectSnapshots, access: ProjectAccess) -> None:
        self._snapshots = snapshots
        self._access = access
        self._slots = asyncio.Semaphore(AT_ONCE)

    def routes(self) -> list[web.RouteDef]:
        """What it serves."""
        return [web.get("/api/v1/snapshot", self.get, allow_head=False)]

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Stream the snapshot. Problems: as for any project's key; 503 `snapshots_busy`."""
        caller = await self._access.project_or_admin(request, request.query.get("project_id"))
        try:
            async with asyncio.timeout(_QUEUE_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            raise _busy() from None
        try:
            async with self._snapshots.open(caller.project_id) as snapshot:
                return await self._answer(request, snapshot)
        finally:
            self._slots.release()

    async def _answer(self, request: web.Request, snapshot: ProjectSnapshot) -> web.StreamResponse:
        tag = ETag(snapshot.head.position.token)
        if tag.value in {known.value for known in request.if_none_match or ()}:
            unchanged = web.Response(status=HTTPStatus.NOT_MODIFIED)
            unchanged.etag = tag
            return unchanged
        response = web.StreamResponse(headers={"Vary": "Accept-Encoding", "Cache-Control": "no-cache"})
        response.content_type = transfer.SNAPSHOT_TYPE
        response.etag = tag
        response.enable_compression()
        await response.prepare(request)
        try:
            async with asyncio.timeout(_MOST_SECONDS):
                async for some in lines(snapshot):
                    await response.write(some)
                await response.write_eof()
        except DATABASE_FAULTS as error:
            # The answer has begun: only an end that never comes can tell the reader.
            _log.warning("a snapshot broke off project=%s error=%s", snapshot.head.project_id, type(error).__name__)
            if request.transport is not None:
                request.transport.abort()
        return response


async def lines(snapshot: ProjectSnapshot) -> AsyncIterator[bytes]:
    """The snapshot as it is sent: some whole lines at a time."""
    yield transfer.encode_head(snapshot.head) + b"\n"
    count = 0
    async for chunk in snapshot.documents(with_empty=False):
        count += len(chunk)
        yield b"".join([row.data + b"\n" for row in chunk])
    yield transfer.encode_end(count) + b"\n"


def _busy() -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "snapshots_busy",
        f"{AT_ONCE} snapshots are being sent; ask again in a moment",
        headers={"Retry-After": "2"},
    )
