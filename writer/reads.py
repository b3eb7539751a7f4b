"""What apps ask the writer itself: the same paths and JSON as the sidecar's, and the pricing page's catalogue."""

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from common import document as documents
from common.answers import Standing, check_answer, parse_check, parse_min_revision, parse_user
from common.clock import Clock
from common.decision import decide
from common.http import json_response
from writer import pricing
from writer.auth import Authenticator
from writer.documents import Documents


class Reads:
    """Handlers; each takes a project's key, or the admin key with a project_id."""

    def __init__(self, engine: AsyncEngine, auth: Authenticator, clock: Clock) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._auth = auth
        self._documents = Documents(engine, clock)
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [
            web.get("/api/v1/entitlements", self.entitlements),
            web.get("/api/v1/check", self.check),
            web.get("/api/v1/catalog", self.catalog),
        ]

    async def entitlements(self, request: web.Request) -> web.Response:
        """`GET /api/v1/entitlements?user_id=[&project_id=]`: the document as committed."""
        holder = await self._auth.project_or_admin(request, request.query.get("project_id"))
        user = parse_user(request.query.get("user_id"))
        _accept_min_revision(request)
        held = await self._documents.held(holder.project_id, user)
        return json_response({**documents.to_json(held.document), "age_ms": 0, "stale": False})

    async def check(self, request: web.Request) -> web.Response:
        """`GET /api/v1/check?user_id=&feature=[&project_id=][&used=]`."""
        holder = await self._auth.project_or_admin(request, request.query.get("project_id"))
        query = parse_check(request.query.get("user_id"), request.query.get("feature"), request.query.get("used"))
        _accept_min_revision(request)
        held = await self._documents.held(holder.project_id, query.user)
        decision = decide(held.document.entitlements, query.feature, held.catalogue, self._clock.now())
        standing = Standing(held.head, age_ms=0, stale=False)
        return json_response(check_answer(query, holder.project, decision, standing))

    async def catalog(self, request: web.Request) -> web.Response:
        """`GET /api/v1/catalog[?project_id=]`: prices, amounts and features."""
        holder = await self._auth.project_or_admin(request, request.query.get("project_id"))
        async with self._engine.connect() as connection:
            return json_response(await pricing.read(connection, holder.project_id))


def _accept_min_revision(request: web.Request) -> None:
    # What is committed is never behind; but an app that points here instead of at a sidecar learns of its mistakes.
    wanted = request.query.get("min_revision")
    if wanted is not None:
        parse_min_revision(wanted)
