"""`/api/v1/metrics/project/{project_id}`: what a project earns, for its own people."""

from aiohttp import web

from common.clock import Clock
from common.http import json_response
from writer.auth import Authenticator
from writer.operations import figures
from writer.operations.operations import Operations
from writer.refusals import answered


class FigureRoutes:
    """Handlers; each takes the project's key, or the admin key."""

    def __init__(self, auth: Authenticator, operations: Operations, clock: Clock) -> None:
        self._auth = auth
        self._operations = operations
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [web.get("/api/v1/metrics/project/{project_id}", answered(self.project))]

    async def project(self, request: web.Request) -> web.Response:
        """`GET /api/v1/metrics/project/{project_id}[?from=2026-01][&to=2026-11]`."""
        holder = await self._auth.project_or_admin(request, request.match_info["project_id"])
        asked = figures.period(request.query.get("from"), request.query.get("to"), self._clock.now())
        (found,) = await self._operations.figures(asked, holder.project)
        return json_response(figures.to_json(found, asked))
