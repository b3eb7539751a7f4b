"""`/api/v1/admin/history`: why a user had a feature, at any time in the past."""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from common.clock import Clock
from common.http import json_response
from writer.api import parameters
from writer.api.cursors import Cursor, Kind
from writer.api.parameters import PROJECT, SOME_FEATURE, USER
from writer.api.project_answers import HistoryAnswer
from writer.api.routes import Access, Answer, Call, route, served
from writer.auth import Authenticator
from writer.history import MOST_CHANGES
from writer.operations.operations import Operations

_AT: Final = parameters.time("at", "A moment: what was held then is told")
_CHANGES: Final = Cursor("history", Kind.ID, Kind.ID, most=MOST_CHANGES)


class HistoryRoutes:
    """Handlers; each takes the admin key."""

    def __init__(self, auth: Authenticator, operations: Operations, clock: Clock) -> None:
        self._auth = auth
        self._operations = operations
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return served(self, self._auth)

    @route(
        "GET", "/api/v1/admin/history", Access.ADMIN, Answer(HTTPStatus.OK, HistoryAnswer),
        takes=(PROJECT, USER, SOME_FEATURE, _AT, *_CHANGES.takes), problems=("404 unknown_project",), tag="users",
    )  # fmt: skip
    async def history(self, call: Call[None]) -> web.Response:
        """With `at` what was held then and why; without it what changed, newest first."""
        name, user, feature, moment = call[PROJECT], call[USER], call[SOME_FEATURE], call[_AT]
        if moment is not None:
            return json_response(await self._operations.held_at(name, user, feature, moment))
        limit = call[_CHANGES.limit]
        found = await self._operations.history(name, user, feature, self._clock.now(), limit + 1, call[_CHANGES.after])
        page = _CHANGES.page(found, limit, lambda change: (change["epoch"], change["revision"]))
        answer = {"project_id": name, "user_id": user, "changes": page.rows, "next": page.next}
        return json_response(answer)
