"""`/api/v1/admin/sidecars`: who relays a project, which sidecars follow it, and how far they are."""

from dataclasses import replace
from http import HTTPStatus
from typing import Final

from aiohttp import web

from common.http import json_response
from common.problems import Problem
from writer.admin.bodies import ReasonBody
from writer.api.bodies import Body
from writer.api.cursors import Cursor, Kind
from writer.api.operator_answers import RelayAnswer, SidecarsAnswer
from writer.api.parameters import PROJECT, PROJECT_IN_PATH
from writer.api.routes import Access, Answer, Call, route, served
from writer.auth import Authenticator
from writer.operations import relaying, sidecars
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
            found = await self._operations.sidecars(call[PROJECT], self._directory)
        except CacheFaultError as error:
            detail = "Redis does not answer, and only there sidecars say where they are"
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "cache_unavailable", detail, headers={"Retry-After": "5"}
            ) from error
        after, limit = call[_SIDECARS.after], call[_SIDECARS.limit]
        by_name = sorted(found.sidecars, key=_name)
        rest = [one for one in by_name if not after or _name(one) > after[0]]
        page = _SIDECARS.page(rest, limit, lambda one: (_name(one),))
        told = sidecars.following_to_json(replace(found, sidecars=page.rows))
        return json_response({**told, "next": page.next})

    @route(
        "POST", "/api/v1/admin/projects/{project}/relay/release", Access.ADMIN, Answer(HTTPStatus.OK, RelayAnswer),
        takes=(PROJECT_IN_PATH,), body=Body(ReasonBody, required=False), tag="projects",
        problems=("404 unknown_project", "409 lease_in_use"),
    )  # fmt: skip
    async def release(self, call: Call[ReasonBody]) -> web.Response:
        """Free the lease of a writer that is no more, so that another one relays the project."""
        relay = await self._operations.release_relay(call[PROJECT_IN_PATH], call.body.reason, call.actor)
        return json_response(relaying.to_json(relay))


def _name(one: Sidecar) -> str:
    return one.presence.instance
