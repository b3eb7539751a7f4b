"""A population's snapshot over HTTP, as the writer streams it: what a start without Redis is measured with.

It comes from a file, so what is measured is the sidecar, not how fast a database hands out rows.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from aiohttp import web

from benchmarks.population import EPOCH, PROJECT, Population
from common import document as documents
from common import transfer
from common.http import json_response
from common.listening import listening
from common.position import Position
from common.settings import TcpAddress
from common.transfer import ChangesPage, SnapshotHead

API_KEY: Final = "a-key-for-measuring-only"
_AT_ONCE: Final = 5_000
_MOST_WAIT: Final = 20.0


@contextlib.asynccontextmanager
async def snapshots(population: Population, folder: Path) -> AsyncIterator[str]:
    """Serve it; the address to set as `WRITER_URL`. The population's digest must be known (`write` computes it)."""
    path = folder / "snapshot.ndjson"
    await asyncio.to_thread(_save, population, path)

    async def snapshot(request: web.Request) -> web.FileResponse:  # noqa: ARG001 - a handler's shape
        return web.FileResponse(path, headers={"Content-Type": transfer.SNAPSHOT_TYPE})

    async def changes(request: web.Request) -> web.Response:
        if int(request.query["after"]) >= population.revision:
            await asyncio.sleep(min(float(request.query["wait"]), _MOST_WAIT))
        return json_response(transfer.page_to_json(ChangesPage((), population.heartbeat())))

    app = web.Application()
    app.router.add_get("/api/v1/snapshot", snapshot)
    app.router.add_get("/api/v1/changes", changes)
    async with listening(app, TcpAddress("127.0.0.1", 0)) as address:
        yield f"http://{address}"


def _save(population: Population, path: Path) -> None:
    position = Position(EPOCH, population.revision)
    head = SnapshotHead(PROJECT, position, population.users, population.digest, population.catalogue())
    with path.open("wb") as file:
        file.write(transfer.encode_head(head) + b"\n")
        for start in range(0, population.users, _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, population.users))
            lines = (documents.encode(population.document(number, 1)) + b"\n" for number in numbers)
            file.write(b"".join(lines))
        file.write(transfer.encode_end(population.users) + b"\n")
