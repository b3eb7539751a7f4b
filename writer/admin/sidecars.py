"""`/api/v1/admin/sidecars`: which sidecars follow a project, and how far they are."""

from http import HTTPStatus

from aiohttp import web

from common.http import json_response
from common.problems import Problem, bad_request
from writer.auth import Authenticator
from writer.operations import sidecars
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
        return [web.get("/api/v1/admin/sidecars", answered(self.list))]

    async def list(self, request: web.Request) -> web.Response:
        """`GET /api/v1/admin/sidecars?project_id=`: 503 `cache_unavailable` while Redis is away."""
        await self._auth.admin(request)
        name = request.query.get("project_id")
        if not name:
            raise bad_request("project_required", "project_id is missing")
        try:
            project, found = await self._operations.sidecars(name, self._directory)
        except CacheFaultError as error:
            detail = "Redis does not answer, and only there sidecars say where they are"
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "cache_unavailable", detail, headers={"Retry-After": "5"}
            ) from error
        head = project.position
        return json_response(
            {
                "project_id": name,
                "epoch": head.epoch,
                "revision": head.revision,
                "sidecars": [sidecars.to_json(one) for one in found],
            }
        )
