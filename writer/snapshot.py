"""Snapshot: every document of a project at one (epoch, revision), from the primary, streamed line by line."""

import asyncio
import logging
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

from aiohttp import ETag, web

from common import transfer
from common.problems import Problem
from writer.api.routes import Access, Answer, Call, Gate, Holder, route, served
from writer.relay.project_snapshot import ProjectSnapshot, ProjectSnapshots
from writer.supervision import DATABASE_FAULTS

_log = logging.getLogger(__name__)

AT_ONCE: Final = 3
"""Each holds a connection of the pool; webhooks and checkouts need the others."""
_QUEUE_SECONDS: Final = 10.0
_MOST_SECONDS: Final = 300.0


class SnapshotHandler:
    """`GET /api/v1/snapshot?project_id=`: the lines of `common.transfer`; 304 for a copy that is still current."""

    def __init__(self, snapshots: ProjectSnapshots, gate: Gate[Holder]) -> None:
        self._snapshots = snapshots
        self._gate = gate
        self._slots = asyncio.Semaphore(AT_ONCE)

    def routes(self) -> list[web.RouteDef]:
        """What it serves."""
        return served(self, self._gate)

    @route(
        "GET", "/api/v1/snapshot", Access.PROJECT_OR_ADMIN,
        Answer(HTTPStatus.OK, media=transfer.SNAPSHOT_TYPE, description="Lines of JSON; the last one tells the count"),
        Answer(HTTPStatus.NOT_MODIFIED, description="The copy that If-None-Match names is current"),
        problems=("503 snapshots_busy",), tag="sidecars", head=False,
    )  # fmt: skip
    async def get(self, call: Call[None]) -> web.StreamResponse:
        """Every document at one revision, line by line.

        Compressed where the client accepts it. `ETag` is the position. Without the last line the answer was cut off.
        """
        try:
            async with asyncio.timeout(_QUEUE_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            raise _busy() from None
        try:
            async with self._snapshots.open(call.holder.project_id) as snapshot:
                return await self._answer(call.request, snapshot)
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
