"""`/api/v1/admin/sidecars`: which sidecars follow a project, and how far they are."""

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from common.clock import format_time, from_datetime
from common.http import json_response
from common.identifiers import ProjectId
from common.problems import Problem, bad_request
from writer.auth import Authenticator
from writer.operations.operations import Operations
from writer.refusals import answered
from writer.relay.presence import Presence
from writer.relay.project_relay import CacheFaultError


class SidecarDirectory(Protocol):
    """Who follows a project, by its own word; CacheFaultError where Redis cannot be asked."""

    async def of(self, project: ProjectId) -> Sequence[Presence]:
        """The sidecars whose presence has not expired."""
        ...


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
        project = await self._operations.project(name)
        try:
            found = await self._directory.of(project.public_id)
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
                "sidecars": [{**one.facts, "instance": one.instance, "seen_at": _time(one.seen_at)} for one in found],
            }
        )


def _time(seconds: float) -> str:
    return format_time(from_datetime(datetime.fromtimestamp(seconds, UTC)))
