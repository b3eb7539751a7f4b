"""A writer's operator side on a real database: routes, operations and a fake clock's hands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import SECOND, Instant, SystemClock
from common.http import middleware
from common.settings import Secret
from writer.admin.catalogue import CatalogueRoutes
from writer.admin.entitlements import EntitlementRoutes
from writer.admin.events import EventRoutes
from writer.admin.projects import ProjectRoutes
from writer.admin.records import RecordRoutes
from writer.admin.users import UserRoutes
from writer.api.replies import REPLIES, Replies
from writer.auth import Authenticator
from writer.catalogue.recompute_jobs import FAILED, RecomputeJobs
from writer.db.engine import create_engine
from writer.db.transaction import Transactions
from writer.health import Health
from writer.lineage import LineageKeeper
from writer.operations.audit import Actor
from writer.operations.operations import Operations
from writer.reads import Reads
from writer.recompute import Recompute
from writer.relay.metrics import RelayMetrics
from writer.settings import DatabaseSettings, GraceSettings
from writer.unavailable import database_problems
from writer.wakeup import Wakeup

ADMIN_KEY = "admin_key_for_tests"
NEXT_ADMIN_KEY = "admin_key_after_rotation"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
ACTOR = Actor("test")
AT_ONCE = replace(FAILED, first=0.0, longest=0.0)
GRACE = GraceSettings(entitlement=72 * 3600, trial=3600, past_due=30 * 86_400)


@dataclass
class MovableClock:
    """The machine's clock, which a test can put forward."""

    ahead: float = 0.0
    _real: SystemClock = field(default_factory=SystemClock)

    def now(self) -> Instant:
        """Wall time."""
        return Instant(self._real.now() + round(self.ahead * SECOND))

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return self._real.monotonic() + self.ahead


@dataclass
class Operating:
    """What a test works with."""

    engine: AsyncEngine
    transactions: Transactions
    recompute: Recompute
    operations: Operations
    auth: Authenticator
    clock: MovableClock
    client: TestClient[web.Request, web.Application]
    commits: list[None]

    def jobs(self, instance: str = "writer-1") -> RecomputeJobs:
        """A worker for recompute jobs."""
        return RecomputeJobs(
            self.transactions, self.recompute, instance=instance, wakeup=Wakeup(), relay_wakeup=Wakeup(),
            clock=self.clock, registry=CollectorRegistry(), schedule=AT_ONCE,
        )  # fmt: skip

    async def call(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of a request with the admin key, unless `headers` say otherwise."""
        sent = ADMIN if headers is None else headers
        async with self.client.request(method, path, json=body, headers=sent) as response:
            return response.status, await response.json(content_type=None)

    async def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """What a query answers."""
        async with self.engine.begin() as connection:
            return [tuple(row) for row in await connection.execute(text(query), parameters)]

    async def project(self, name: str = "shop") -> dict[str, str]:
        """A new project; headers with a key of it."""
        await self.operations.create_project(name, name, [], ACTOR)
        new = await self.operations.create_key(name, "web", None, ACTOR)
        return {"Authorization": f"Bearer {new.secret.reveal()}"}


@asynccontextmanager
async def operating_side(database_url: str) -> AsyncIterator[Operating]:
    """Everything on one engine, behind a real HTTP server."""
    engine = create_engine(DatabaseSettings(Secret(database_url), None, 10, 30, 10, 30))
    clock = MovableClock()
    registry = CollectorRegistry()
    transactions = Transactions(engine, LineageKeeper(engine, RelayMetrics(registry), lambda: None, SystemClock()))
    recompute = Recompute(GRACE, clock)
    commits: list[None] = []
    operations = Operations(engine, transactions, recompute, clock, lambda: commits.append(None))
    auth = Authenticator(engine, (Secret(ADMIN_KEY), Secret(NEXT_ADMIN_KEY)), clock)
    app = web.Application(middlewares=[middleware, database_problems])
    app[REPLIES] = Replies(engine)
    for part in (
        Health(engine, registry),
        Reads(engine, auth, clock),
        ProjectRoutes(auth, operations),
        EntitlementRoutes(auth, operations),
        CatalogueRoutes(auth, operations),
        EventRoutes(auth, operations),
        UserRoutes(auth, operations),
        RecordRoutes(auth, operations, clock),
    ):
        app.add_routes(part.routes())
    async with TestClient(TestServer(app)) as client:
        yield Operating(engine, transactions, recompute, operations, auth, clock, client, commits)
    await engine.dispose()
