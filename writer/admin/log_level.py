"""`/api/v1/admin/log-level`: how much every writer logs, changed while they run."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from common.http import json_response
from common.log_levels import MOST_SECONDS
from common.logs import LogLevel
from writer.auth import Authenticator
from writer.bodies import read_body
from writer.operations.log_levels import AskedLevels, parse_level, to_json
from writer.refusals import answered

_PATH = "/api/v1/admin/log-level"


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
        return [web.get(_PATH, answered(self.show)), web.put(_PATH, answered(self.ask))]

    async def show(self, request: web.Request) -> web.Response:
        """What is asked for, and what counts elsewhere."""
        await self._auth.admin(request)
        return await self._answer()

    async def ask(self, request: web.Request) -> web.Response:
        """Ask for a level; the answer is that of `show`."""
        actor = await self._auth.admin(request)
        body = await read_body(request, LogLevelBody)
        level = None if body.level is None else parse_level(body.level)
        await self._asked.ask(body.logger, level, body.for_seconds, actor)
        return await self._answer()

    async def _answer(self) -> web.Response:
        asked = [to_json(one) for one in await self._asked.all()]
        return json_response({"log_level": self._started.value.lower(), "asked": asked})
