"""`/api/v1/admin/{unassigned,claim}`: what is ours by price and nobody's, and saying whose it is."""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from common.answers import parse_user
from common.http import json_response
from writer.admin.bodies import ClaimBody
from writer.api.bodies import Body
from writer.api.cursors import Cursor, Kind
from writer.api.operator_answers import ClaimedAnswer, UnassignedAnswer
from writer.api.parameters import SOME_PROJECT, flag
from writer.api.routes import Access, Answer, Call, route, served
from writer.auth import Authenticator
from writer.checkout.stripe_problems import PROBLEMS as STRIPE_PROBLEMS
from writer.checkout.stripe_problems import as_problems
from writer.operations import claims, unassigned
from writer.operations.claims import Claim, Claims

_ENDED: Final = flag("ended", "Also subscriptions that are over")
_UNASSIGNED: Final = Cursor("unassigned", Kind.TIME, Kind.TEXT, most=1_000)


class ClaimRoutes:
    """Handlers; each takes the admin key."""

    def __init__(self, auth: Authenticator, desk: Claims) -> None:
        self._auth = auth
        self._claims = desk

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return served(self, self._auth)

    @route(
        "GET", "/api/v1/admin/unassigned", Access.ADMIN, Answer(HTTPStatus.OK, UnassignedAnswer),
        takes=(SOME_PROJECT, _ENDED, *_UNASSIGNED.takes), problems=("404 unknown_project",), tag="claims",
    )  # fmt: skip
    async def list(self, call: Call[None]) -> web.Response:
        """What is ours by price and nobody's, of one project or of all, those that wait longest first."""
        limit = call[_UNASSIGNED.limit]
        found = await self._claims.unassigned(
            call[SOME_PROJECT], ended=call[_ENDED], after=call[_UNASSIGNED.after], limit=limit + 1
        )
        page = _UNASSIGNED.page(found, limit, lambda one: (one.since, one.id))
        return json_response({"unassigned": [unassigned.to_json(one) for one in page.rows], "next": page.next})

    @route(
        "POST", "/api/v1/admin/claim", Access.ADMIN, Answer(HTTPStatus.OK, ClaimedAnswer),
        body=Body(ClaimBody), tag="claims",
        problems=(
            *STRIPE_PROBLEMS, "400 user_required", "400 invalid_user", "400 not_claimable", "400 project_required",
            "404 unknown_project", "404 unknown_object", "409 claim_conflicts", "409 claim_not_ours",
            "409 wrong_mode", "409 object_moving", "409 document_too_large",
        ),
    )  # fmt: skip
    async def claim(self, call: Call[ClaimBody]) -> web.Response:
        """Give a subscription, a purchase, or a customer with all it bought to a user."""
        body = call.body
        wanted = Claim(body.object_id, parse_user(body.user_id), body.project_id, body.reason)
        with as_problems():
            done = await self._claims.claim(wanted, call.actor)
        return json_response(claims.to_json(done))
