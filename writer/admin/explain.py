"""`/api/v1/admin/{explain,preview}`: why a user has a feature or not, and what would be after an act."""

from aiohttp import web
from msgspec import UNSET

from common.answers import parse_feature, parse_user
from common.http import json_response
from common.identifiers import UserId
from common.problems import bad_request
from writer.admin.bodies import PreviewBody, PreviewGrant, time_of
from writer.auth import Authenticator
from writer.bodies import read_body
from writer.domain.imagine import Act, Cancel, Refund, Revoke
from writer.explain.view import Question
from writer.operations import preview
from writer.operations.grants import GrantOrder
from writer.operations.operations import Operations
from writer.operations.preview import Purchase
from writer.operations.sidecars import SidecarDirectory
from writer.refusals import answered


class ExplainRoutes:
    """Handlers; each takes the admin key and changes nothing."""

    def __init__(self, auth: Authenticator, operations: Operations, directory: SidecarDirectory) -> None:
        self._auth = auth
        self._operations = operations
        self._directory = directory

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [
            web.get("/api/v1/admin/explain", answered(self.explain)),
            web.post("/api/v1/admin/preview", answered(self.preview)),
        ]

    async def explain(self, request: web.Request) -> web.Response:
        """`GET /api/v1/admin/explain?project_id=&user_id=[&feature=][&at=]`."""
        await self._auth.admin(request)
        query = request.query
        name = query.get("project_id")
        if not name:
            raise bad_request("project_required", "project_id is missing")
        user = parse_user(query.get("user_id"))
        feature = parse_feature(query["feature"]) if query.get("feature") else None
        question = Question(name, user, feature, time_of("at", query.get("at") or None))
        return json_response(await self._operations.explain(question, self._directory))

    async def preview(self, request: web.Request) -> web.Response:
        """What a user would hold after buying, cancelling, a refund, a grant or a revocation."""
        await self._auth.admin(request)
        body = await read_body(request, PreviewBody)
        user = parse_user(body.user_id)
        return json_response(
            preview.to_json(await self._operations.preview.of(body.project_id, user, _act(body, user)))
        )


def _act(body: PreviewBody, user: UserId) -> Act | Purchase | GrantOrder:
    found: list[Act | Purchase | GrantOrder] = []
    if body.buy is not UNSET:
        found.append(Purchase(body.buy, body.quantity))
    if body.cancel is not UNSET:
        found.append(Cancel(body.cancel, at_once=body.now))
    if body.refund is not UNSET:
        found.append(Refund(body.refund, body.amount))
    if body.grant is not UNSET:
        found.append(_order(body.grant, user))
    if body.revoke is not UNSET:
        found.append(Revoke(feature=parse_feature(body.revoke)))
    if body.revoke_grant is not UNSET:
        found.append(Revoke(grant_id=str(body.revoke_grant)))
    if len(found) != 1:
        raise bad_request("invalid_body", "name one of buy, cancel, refund, grant, revoke, revoke_grant")
    return found[0]


def _order(grant: PreviewGrant, user: UserId) -> GrantOrder:
    starts, ends = time_of("valid_from", grant.valid_from), time_of("valid_to", grant.valid_to)
    return GrantOrder(user, parse_feature(grant.feature), grant.value, starts, ends, reason="")
