"""`/api/v1/admin/history`: why a user had a feature, at any time in the past."""

from typing import Final

from aiohttp import web

from common.answers import parse_feature, parse_user
from common.clock import Clock, Instant, TimeError, parse_time
from common.http import json_response
from common.problems import bad_request
from writer.auth import Authenticator
from writer.history import MOST_CHANGES
from writer.operations.operations import Operations
from writer.refusals import answered

_PAGE: Final = 100


class HistoryRoutes:
    """Handlers; each takes the admin key."""

    def __init__(self, auth: Authenticator, operations: Operations, clock: Clock) -> None:
        self._auth = auth
        self._operations = operations
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [web.get("/api/v1/admin/history", answered(self.history))]

    async def history(self, request: web.Request) -> web.Response:
        """With `at` what was held then and why; without it what changed, newest first."""
        await self._auth.admin(request)
        query = request.query
        name = query.get("project_id")
        if not name:
            raise bad_request("project_required", "project_id is missing")
        user = parse_user(query.get("user_id"))
        feature = parse_feature(query["feature"]) if "feature" in query else None
        if "at" in query:
            return json_response(await self._operations.held_at(name, user, feature, _time(query["at"])))
        changes = await self._operations.history(name, user, feature, self._clock.now(), _limit(query.get("limit")))
        return json_response({"project_id": name, "user_id": user, "changes": changes})


def _time(text: str) -> Instant:
    try:
        return parse_time(text)
    except TimeError as error:
        raise bad_request("invalid_time", f"at: {error}") from error


def _limit(text: str | None) -> int:
    if text is None:
        return _PAGE
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_CHANGES))):
        raise bad_request("invalid_limit", f"limit must be a whole number from 1 to {MOST_CHANGES}")
    return min(max(int(text), 1), MOST_CHANGES)
