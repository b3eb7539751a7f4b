"""`/api/v1/admin/sidecars`: which sidecars follow a project, and how far they are."""

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, Protocol

from aiohttp import web

from common.clock import format_time, from_datetime
from common.http import json_response
from common.identifiers import ProjectId
from common.problems import Problem
from writer.api.cursors import Cursor, Kind
from writer.api.operator_answers import SidecarsAnswer
from writer.api.parameters import PROJECT
from writer.api.routes import Access, Answer, Call, route, served
from writer.auth import Authenticator
from writer.operations.operations import Operations
from writer.relay.presence import Presence
from writer.relay.project_relay import CacheFaultError

_SIDECARS: Final = Cursor("sidecars", Kind.TEXT, most=1_000, page=1_000)


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
        return served(self, self._auth)

    @route(
        "GET", "/api/v1/admin/sidecars", Access.ADMIN, Answer(HTTPStatus.OK, SidecarsAnswer),
        takes=(PROJECT, *_SIDECARS.takes), problems=("404 unknown_project", "503 cache_unavailable"), tag="projects",
    )  # fmt: skip
    async def list(self, call: Call[None]) -> web.Response:
        """Live sidecars of a project, by name. None can be told while Redis is away."""
        project = await self._operations.project(call[PROJECT])
        try:
            found = await self._directory.of(project.public_id)
        except CacheFaultError as error:
            detail = "Redis does not answer, and only there sidecars say where they are"
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "cache_unavailable", detail, headers={"Retry-After": "5"}
            ) from error
        after, limit = call[_SIDECARS.after], call[_SIDECARS.limit]
        rest = sorted((one for one in found if not after or one.instance > after[0]), key=lambda one: one.instance)
        page = _SIDECARS.page(rest, limit, lambda one: (one.instance,))
        head = project.position
        return json_response(
            {
                "project_id": project.public_id,
                "epoch": head.epoch,
                "revision": head.revision,
                "sidecars": [
                    {**one.facts, "instance": one.instance, "seen_at": _time(one.seen_at)} for one in page.rows
                ],
                "next": page.next,
            }
        )


def _time(seconds: float) -> str:
    return format_time(from_datetime(datetime.fromtimestamp(seconds, UTC)))
