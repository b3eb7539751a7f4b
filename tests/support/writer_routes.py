"""The writer's own routes for sidecars, over HTTP, for whoever asks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from aiohttp.test_utils import TestServer

from common import http
from common.clock import SystemClock
from common.identifiers import ProjectId
from tests.support.ledger import Ledger
from tests.support.relaying import Relaying
from writer.changes import ChangesHandler
from writer.operations.audit import Actor
from writer.relay.backlog import Backlog
from writer.relay.project_snapshot import ProjectSnapshots
from writer.snapshot import SnapshotHandler


@dataclass(frozen=True, slots=True)
class _Caller:
    project_id: int
    project: ProjectId


class OneProject:
    """Lets everybody in, for one project."""

    def __init__(self, ledger: Ledger) -> None:
        self._caller = _Caller(ledger.project_id, ledger.project)

    async def project_or_admin(self, request: web.Request, project: str | None) -> _Caller:
        """The caller, whoever he is."""
        return self._caller

    async def project(self, request: web.Request, named: str | None = None) -> _Caller:
        """The same."""
        return self._caller

    async def admin(self, request: web.Request) -> Actor:
        """The same, as an operator."""
        return Actor("test")


@asynccontextmanager
async def serving(ledger: Ledger, relaying: Relaying) -> AsyncIterator[str]:
    """Snapshot and changes beside a relay; gives the URL."""
    access, engine = OneProject(ledger), ledger.engine
    changes = ChangesHandler(Backlog(engine), relaying.heads, relaying.lineage, access, SystemClock())
    app = web.Application(middlewares=[http.middleware])
    app.add_routes([*SnapshotHandler(ProjectSnapshots(engine), access).routes(), *changes.routes()])
    async with TestServer(app) as server:
        yield str(server.make_url("/"))
        changes.end()
        await asyncio.sleep(0)
