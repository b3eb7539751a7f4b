"""`/api/v1/admin/log-level`: how much every writer logs, changed while they run."""

from http import HTTPStatus
from typing import Annotated, Final

from aiohttp import web
from msgspec import Meta, Struct

from common.http import json_response
from common.log_levels import MOST_SECONDS
from common.logs import LogLevel
from writer.api.bodies import Body
from writer.api.figure_answers import LogLevelAnswer
from writer.api.routes import Access, Answer, Call, route, served
from writer.auth import Authenticator
from writer.operations.log_levels import AskedLevels, parse_level, to_json

_PATH: Final = "/api/v1/admin/log-level"
_ANSWER: Final = Answer(HTTPStatus.OK, LogLevelAnswer)


class LogLevelBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`level` null goes back to `LOG_LEVEL`; without `logger` all are meant, without `for_seconds` it stays."""

    level: Annotated[str, Meta(max_length=20)] | None
    logger: Annotated[str, Meta(max_length=200)] | None = None
    for_seconds: Annotated[int, Meta(ge=1, le=MOST_SECONDS)] | None = None


class LogLevelRoutes:
    """Handlers; each takes the admin key. `started` is this writer's `LOG_LEVEL`."""

    def __init__(self, auth: Authenticator, asked: AskedLevels, started: LogLevel) -> None:
        self._auth = auth
        self._asked = asked
        self._started = started

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return served(self, self._auth)

    @route("GET", _PATH, Access.ADMIN, _ANSWER, tag="operation")
    async def show(self, _: Call[None]) -> web.Response:
        """What log levels are asked for, and what counts elsewhere."""
        return await self._answer()

    @route(
        "PUT", _PATH, Access.ADMIN, _ANSWER, body=Body(LogLevelBody), tag="operation",
        problems=("400 invalid_log_level", "400 invalid_logger"),
    )  # fmt: skip
    async def ask(self, call: Call[LogLevelBody]) -> web.Response:
        """Ask all writers for a log level, of one logger or of all; null takes it back."""
        body = call.body
        level = None if body.level is None else parse_level(body.level)
        await self._asked.ask(body.logger, level, body.for_seconds, call.actor)
        return await self._answer()

    async def _answer(self) -> web.Response:
        asked = [to_json(one) for one in await self._asked.all()]
        return json_response({"log_level": self._started.value.lower(), "asked": asked})
