"""Where an operator asks why a user has a feature or not: routes over what arrives at a writer."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from common.http import middleware
from common.identifiers import ProjectId
from tests.support import stripe_objects as stripe
from tests.support.ingest import Ingest
from tests.support.operating import ADMIN
from tests.support.stripe_objects import Json
from writer.admin.explain import ExplainRoutes
from writer.admin.sidecars import SidecarRoutes
from writer.api.replies import REPLIES, Replies
from writer.auth import Authenticator
from writer.operations.operations import Operations
from writer.relay.presence import Presence
from writer.relay.project_relay import CacheFaultError


@dataclass
class Directory:
    """Sidecars as a test lets them speak; None: Redis is away."""

    said: list[Presence] | None = field(default_factory=list)

    async def listed(self, _: ProjectId) -> Sequence[Presence]:
        """All of them."""
        if self.said is None:
            raise CacheFaultError("away")
        return self.said


@dataclass
class Counter:
    """Where an operator asks why."""

    ingest: Ingest
    operations: Operations
    directory: Directory
    client: TestClient[web.Request, web.Application]

    async def explain(self, user: str = "ada", **query: str) -> Json:
        """The whole answer."""
        status, answer = await self.ask({"project_id": "shop", "user_id": user, **query})
        assert status == 200, answer
        return answer

    async def feature(self, code: str, user: str = "ada", **query: str) -> Json:
        """The answer for one feature."""
        (one,) = (await self.explain(user, feature=code, **query))["features"]
        return dict(one)

    async def ask(self, query: dict[str, str]) -> tuple[int, Json]:
        """Status and answer of the explain route."""
        async with self.client.get("/api/v1/admin/explain", params=query) as response:
            return response.status, await response.json(content_type=None)

    async def preview(self, **body: Any) -> tuple[int, Json]:
        """Status and answer of the preview route, for ada."""
        named = {"project_id": "shop", "user_id": "ada", **body}
        async with self.client.post("/api/v1/admin/preview", json=named) as response:
            return response.status, await response.json(content_type=None)

    async def deliver(self, name: str, source: Json, at: int) -> Json:
        """An event about an object that Stripe holds so, received at a moment."""
        self.ingest.clock.at = at
        self.ingest.stripe.hold(source)
        sent = stripe.event(name, source, at)
        await self.ingest.deliver(sent)
        return sent

    def fates(self, feature: Json) -> dict[str, str]:
        """What became of each source."""
        return {source["ref"]: source["fate"] for source in feature["sources"]}

    def codes(self, feature: Json) -> list[str]:
        """Why it is denied."""
        return [cause["code"] for cause in feature["causes"]]


@asynccontextmanager
async def opened_counter(ingest: Ingest, auth: Authenticator) -> AsyncIterator[Counter]:
    """On what arrives there, at its clock."""
    directory = Directory()
    operations = Operations(ingest.engine, ingest.transactions, ingest.recompute, ingest.clock, ingest.relay.notify)
    app = web.Application(middlewares=[middleware])
    app[REPLIES] = Replies(ingest.engine)
    for part in (ExplainRoutes, SidecarRoutes):
        app.add_routes(part(auth, operations, directory).routes())
    async with TestClient(TestServer(app), headers=ADMIN) as client:
        yield Counter(ingest, operations, directory, client)
