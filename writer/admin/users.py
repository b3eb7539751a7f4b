"""`/api/v1/admin/users`: looking for users, merging two who are one, erasing one on request."""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from common.answers import parse_user
from common.http import json_response
from writer.admin.bodies import EraseBody, MergeBody
from writer.api import parameters
from writer.api.bodies import Body
from writer.api.cursors import Cursor, Kind
from writer.api.parameters import PROJECT, SOME_PROJECT, USER
from writer.api.record_answers import ErasedAnswer, MergedAnswer, UsersAnswer, WholeUserAnswer
from writer.api.routes import Access, Answer, Call, route, served
from writer.auth import Authenticator
from writer.operations import erasure, merging, users
from writer.operations.operations import Operations

_PATH: Final = "/api/v1/admin/users"
_QUERY: Final = parameters.text("query", "How ids begin; or a whole cus_…, sub_… or cs_… that is theirs")
_USERS: Final = Cursor("users", Kind.TEXT, Kind.TEXT)
_NAMED: Final = ("400 user_required", "400 invalid_user", "404 unknown_project")


class UserRoutes:
    """Handlers; each takes the admin key."""

    def __init__(self, auth: Authenticator, operations: Operations) -> None:
        self._auth = auth
        self._operations = operations

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return served(self, self._auth)

    @route(
        "GET", _PATH, Access.ADMIN, Answer(HTTPStatus.OK, UsersAnswer),
        takes=(SOME_PROJECT, _QUERY, *_USERS.takes), problems=("404 unknown_project",), tag="users",
    )  # fmt: skip
    async def search(self, call: Call[None]) -> web.Response:
        """Users of a project or of all, by project and id."""
        limit = call[_USERS.limit]
        found = await self._operations.users.search(call[SOME_PROJECT], call[_QUERY], call[_USERS.after], limit + 1)
        page = _USERS.page(found, limit, lambda user: (user.project, user.user_id))
        return json_response({"users": [users.to_json(one) for one in page.rows], "next": page.next})

    @route(
        "GET", "/api/v1/admin/user", Access.ADMIN, Answer(HTTPStatus.OK, WholeUserAnswer),
        takes=(PROJECT, USER), problems=("404 unknown_project", "404 unknown_user"), tag="users",
    )  # fmt: skip
    async def show(self, call: Call[None]) -> web.Response:
        """One user with what they have, and who they were or became."""
        return json_response(await self._operations.users.show(call[PROJECT], call[USER]))

    @route(
        "POST", f"{_PATH}/merge", Access.ADMIN, Answer(HTTPStatus.OK, MergedAnswer), body=Body(MergeBody),
        problems=(
            *_NAMED, "400 invalid_merge", "404 unknown_user", "409 already_merged", "409 user_erased",
            "409 document_too_large",
        ), tag="users",
    )  # fmt: skip
    async def merge(self, call: Call[MergeBody]) -> web.Response:
        """Make a user, anonymous or since renamed, another one of the project's users. There is no way back.

        Subscriptions, purchases, grants and customers move; whatever names the old user later leads to the other.
        """
        body = call.body
        old, new = parse_user(body.from_), parse_user(body.into)
        done = await self._operations.users.merge(body.project_id, old, new, body.reason, call.actor)
        return json_response(merging.to_json(done))

    @route(
        "POST", f"{_PATH}/erase", Access.ADMIN, Answer(HTTPStatus.OK, ErasedAnswer), body=Body(EraseBody),
        problems=(*_NAMED, "409 still_subscribed"), tag="users",
    )  # fmt: skip
    async def erase(self, call: Call[EraseBody]) -> web.Response:
        """Let nothing tell any more who a user was. There is no way back.

        History gets a pseudonym, payloads of events are cut down; amounts and ids at Stripe stay.
        """
        body = call.body
        done = await self._operations.users.erase(body.project_id, parse_user(body.user_id), body.reason, call.actor)
        return json_response(erasure.to_json(done))
