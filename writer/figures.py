"""`/api/v1/metrics/project/{project}`: what a project earns, for its own people."""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from common.clock import Clock
from common.http import json_response
from writer.api.figure_answers import FiguresAnswer
from writer.api.parameters import PROJECT_IN_PATH, optional
from writer.api.routes import Access, Answer, Call, route, served
from writer.auth import Authenticator
from writer.operations import figures
from writer.operations.operations import Operations

_MONTH: Final = {"type": "string", "pattern": "^[12][0-9]{3}-(0[1-9]|1[0-2])$"}
_FROM: Final = optional("from", str, _MONTH, "The first month; a year before `to`", None, "400 invalid_month")
_TO: Final = optional("to", str, _MONTH, "The last month; this one", None, "400 invalid_month")


class FigureRoutes:
    """Handlers; each takes the project's key, or the admin key."""

    def __init__(self, auth: Authenticator, operations: Operations, clock: Clock) -> None:
        self._auth = auth
        self._operations = operations
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return served(self, self._auth)

    @route(
        "GET", "/api/v1/metrics/project/{project}", Access.PROJECT_OR_ADMIN, Answer(HTTPStatus.OK, FiguresAnswer),
        takes=(PROJECT_IN_PATH, _FROM, _TO), problems=("400 invalid_range",), tag="projects",
    )  # fmt: skip
    async def project(self, call: Call[None]) -> web.Response:
        """What a project earns: subscriptions by state, and revenue and refunds by month and currency."""
        asked = figures.period(call[_FROM], call[_TO], self._clock.now())
        (found,) = await self._operations.figures(asked, call.holder.project)
        return json_response(figures.to_json(found, asked))
