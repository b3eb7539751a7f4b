"""`/api/v1/admin/{explain,preview}`: why a user has a feature or not, and what would be after an act."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from msgspec import UNSET

from common.answers import parse_feature, parse_user
from common.http import json_response
from common.identifiers import UserId
from common.problems import bad_request
from writer.admin.bodies import PreviewBody, PreviewGrant, time_of
from writer.api import parameters
from writer.api.bodies import Body
from writer.api.explain_answers import ExplainAnswer, PreviewAnswer
from writer.api.parameters import PROJECT, SOME_FEATURE, USER
from writer.api.routes import Access, Answer, Call, route, served
from writer.auth import Authenticator
from writer.domain.imagine import Act, Cancel, Refund, Revoke
from writer.explain.view import Question
from writer.operations import preview
from writer.operations.grants import GrantOrder
from writer.operations.operations import Operations
from writer.operations.preview import Purchase
from writer.operations.sidecars import SidecarDirectory

_AT: Final = parameters.time("at", "A moment: as it was then")


class ExplainRoutes:
    """Handlers; each takes the admin key and changes nothing."""

    def __init__(self, auth: Authenticator, operations: Operations, directory: SidecarDirectory) -> None:
        self._auth = auth
        self._operations = operations
        self._directory = directory

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return served(self, self._auth)

    @route(
        "GET", "/api/v1/admin/explain", Access.ADMIN, Answer(HTTPStatus.OK, ExplainAnswer),
        takes=(PROJECT, USER, SOME_FEATURE, _AT), problems=("404 unknown_project",), tag="users",
    )  # fmt: skip
    async def explain(self, call: Call[None]) -> web.Response:
        """Why a user has a feature or not: every source, what is in the way, where the sidecars are.

        Without `feature` all of them; with `at` as it was then.
        """
        question = Question(call[PROJECT], call[USER], call[SOME_FEATURE], call[_AT])
        return json_response(await self._operations.explain(question, self._directory))

    @route(
        "POST", "/api/v1/admin/preview", Access.ADMIN, Answer(HTTPStatus.OK, PreviewAnswer),
        body=Body(PreviewBody), tag="users",
        problems=(
            "404 unknown_project", "400 user_required", "400 invalid_user", "400 feature_required",
            "400 invalid_feature", "400 invalid_value", "400 invalid_period", "400 invalid_time",
            "404 unknown_feature", "404 unknown_grant", "404 unknown_price", "404 unknown_object",
            "400 invalid_quantity", "409 price_of_another_project", "409 document_too_large",
        ),
    )  # fmt: skip
    async def preview(self, call: Call[PreviewBody]) -> web.Response:
        """What a user would hold after buying, cancelling, a refund, a grant or a revocation; nothing is written.

        Name one of `buy`, `cancel`, `refund`, `grant`, `revoke`, `revoke_grant`.
        """
        body = call.body
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
