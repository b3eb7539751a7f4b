"""`/api/v1/admin/{unassigned,claim}`: what is ours by price and nobody's, and saying whose it is."""

from typing import Final

from aiohttp import web

from common.answers import parse_user
from common.http import json_response
from common.problems import bad_request
from writer.admin.bodies import ClaimBody
from writer.auth import Authenticator
from writer.bodies import read_body
from writer.checkout.stripe_problems import as_problems
from writer.operations import claims, unassigned
from writer.operations.claims import Claim, Claims
from writer.refusals import answered

_FLAGS: Final = {"": False, "false": False, "true": True}


class ClaimRoutes:
    """Handlers; each takes the admin key."""

    def __init__(self, auth: Authenticator, desk: Claims) -> None:
        self._auth = auth
        self._claims = desk

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [
            web.get("/api/v1/admin/unassigned", answered(self.list)),
            web.post("/api/v1/admin/claim", answered(self.claim)),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """Of one project or of all, those that wait longest first."""
        await self._auth.admin(request)
        ended = _FLAGS.get(request.query.get("ended", ""))
        if ended is None:
            raise bad_request("invalid_flag", "ended must be true or false")
        found = await self._claims.unassigned(request.query.get("project_id") or None, ended=ended)
        return json_response({"unassigned": [unassigned.to_json(one) for one in found]})

    async def claim(self, request: web.Request) -> web.Response:
        """Give a subscription, a purchase, or a customer with all it bought to a user."""
        actor = await self._auth.admin(request)
        body = await read_body(request, ClaimBody)
        wanted = Claim(body.object_id, parse_user(body.user_id), body.project_id, body.reason)
        with as_problems():
            done = await self._claims.claim(wanted, actor)
        return json_response(claims.to_json(done))
