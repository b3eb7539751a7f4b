"""`/api/v1/admin/sidecars`: which sidecars follow a project, and how far they are."""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from common.http import json_response
from common.problems import Problem
from writer.api.cursors import Cursor, Kind
from writer.api.operator_answers import SidecarsAnswer
from writer.api.parameters import PROJECT
from writer.api.routes import Access, Answer, Call, route, served
from writer.auth import Authenticator
from writer.operations import sidecars
from writer.operations.operations import Operations
from writer.operations.sidecars import Sidecar, SidecarDirectory
from writer.relay.project_relay import CacheFaultError

_SIDECARS: Final = Cursor("sidecars", Kind.TEXT, most=1_000, page=1_000)


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
        try:
            project, found = await self._operations.sidecars(call[PROJECT], self._directory)
        except CacheFaultError as error:
            detail = "Redis does not answer, and only there sidecars say where they are"
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "cache_unavailable", detail, headers={"Retry-After": "5"}
            ) from error
        after, limit = call[_SIDECARS.after], call[_SIDECARS.limit]
        by_name = sorted(found, key=_name)
        rest = [one for one in by_name if not after or _name(one) > after[0]]
        page = _SIDECARS.page(rest, limit, lambda one: (_name(one),))
        head = project.position
        return json_response(
            {
                "project_id": project.public_id,
                "epoch": head.epoch,
                "revision": head.revision,
                "sidecars": [sidecars.to_json(one) for one in page.rows],
                "next": page.next,
            }
        )


def _name(one: Sidecar) -> str:
    return one.presence.instance
