"""`/api/v1/admin/sidecars`: who relays a project, which sidecars follow it, and how far they are."""

from http import HTTPStatus

from aiohttp import web

from common.http import json_response
from common.problems import Problem, bad_request
from writer.admin.bodies import ReasonBody
from writer.auth import Authenticator
from writer.bodies import read_body
from writer.operations import relaying, sidecars
from writer.operations.operations import Operations
from writer.operations.sidecars import SidecarDirectory
from writer.refusals import answered
from writer.relay.project_relay import CacheFaultError


class SidecarRoutes:
    """Handlers; each takes the admin key."""

    def __init__(self, auth: Authenticator, operations: Operations, directory: SidecarDirectory) -> None:
        self._auth = auth
        self._operations = operations
        self._directory = directory

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [
            web.get("/api/v1/admin/sidecars", answered(self.list)),
            web.post("/api/v1/admin/projects/{project}/relay/release", answered(self.release)),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """`GET /api/v1/admin/sidecars?project_id=`: 503 `cache_unavailable` while Redis is away."""
        await self._auth.admin(request)
        name = request.query.get("project_id")
        if not name:
            raise bad_request("project_required", "project_id is missing")
        try:
            found = await self._operations.sidecars(name, self._directory)
        except CacheFaultError as error:
            detail = "Redis does not answer, and only there sidecars say where they are"
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "cache_unavailable", detail, headers={"Retry-After": "5"}
            ) from error
        return json_response(sidecars.following_to_json(found))

    async def release(self, request: web.Request) -> web.Response:
        """Free the lease of a writer that is no more; 409 `lease_in_use` where a writer renews it."""
        actor = await self._auth.admin(request)
        body = await read_body(request, ReasonBody) if request.can_read_body else ReasonBody()
        relay = await self._operations.release_relay(request.match_info["project"], body.reason, actor)
        return json_response(relaying.to_json(relay))
