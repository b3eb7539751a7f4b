"""`/api/v1/admin/{grant,revoke,recompute}`: what operators do to users' entitlements."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from msgspec import UNSET

from common.answers import parse_feature, parse_user
from common.clock import format_time
from common.http import json_response
from common.identifiers import FeatureCode, UserId
from common.problems import bad_request
from writer.admin.bodies import GrantBody, RecomputeBody, RevokeBody, time_of
from writer.api.bodies import Body
from writer.api.parameters import MAX_ID
from writer.api.project_answers import GrantedAnswer, JobsAnswer, RecomputedAnswer, RevokedAnswer
from writer.api.replies import HEADER
from writer.api.routes import Access, Answer, Call, route, served
from writer.auth import Authenticator
from writer.operations.grants import GrantOrder
from writer.operations.operations import Operations

_NAMED: Final = ("404 unknown_project", "400 user_required", "400 invalid_user")
_FEATURE: Final = ("400 feature_required", "400 invalid_feature")
_TOO_LARGE: Final = ("409 document_too_large",)


class EntitlementRoutes:
    """Handlers; each takes the admin key and answers a `token` that sidecars take as `min_revision`."""

    def __init__(self, auth: Authenticator, operations: Operations) -> None:
        self._auth = auth
        self._operations = operations

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return served(self, self._auth)

    @route(
        "POST", "/api/v1/admin/grant", Access.ADMIN,
        Answer(HTTPStatus.CREATED, GrantedAnswer),
        Answer(HTTPStatus.OK, GrantedAnswer, description="A grant that this key made more than a day ago"),
        body=Body(GrantBody), tag="entitlements", again=True,
        problems=(
            *_NAMED, *_FEATURE, *_TOO_LARGE, "404 unknown_feature", "400 reason_required", "400 invalid_value",
            "400 invalid_period", "400 invalid_time", "409 idempotency_key_reused",
        ),
    )  # fmt: skip
    async def grant(self, call: Call[GrantBody]) -> web.Response:
        """Give a feature to a user.

        The Idempotency-Key stays with the grant: also after it was forgotten otherwise, it makes no second one.
        """
        body = call.body
        order = GrantOrder(
            user=parse_user(body.user_id),
            feature=parse_feature(body.feature),
            value=body.value,
            valid_from=time_of("valid_from", body.valid_from),
            valid_to=time_of("valid_to", body.valid_to),
            reason=body.reason,
            idempotency_key=call.headers.get(HEADER),
        )
        granted = await self._operations.grant(body.project_id, order, call.actor)
        answer = {
            "grant_id": granted.id,
            "project_id": body.project_id,
            "user_id": order.user,
            "feature": order.feature,
            "value": order.value,
            "valid_from": format_time(granted.valid_from),
            "valid_to": None if order.valid_to is None else format_time(order.valid_to),
            "reason": order.reason,
            "changed": granted.changed,
            "token": granted.position.token,
        }
        return json_response(answer, HTTPStatus.OK if granted.repeated else HTTPStatus.CREATED)

    @route(
        "POST", "/api/v1/admin/revoke", Access.ADMIN, Answer(HTTPStatus.OK, RevokedAnswer),
        body=Body(RevokeBody), tag="entitlements",
        problems=(*_NAMED, *_FEATURE, *_TOO_LARGE, "404 unknown_grant", "400 reason_required"),
    )  # fmt: skip
    async def revoke(self, call: Call[RevokeBody]) -> web.Response:
        """Take grants back; `revoked` lists those that ended now.

        Name either `grant_id`, or `user_id` and `feature`.
        """
        body = call.body
        revoked = await self._operations.revoke_grant(body.project_id, _which(body), body.reason, call.actor)
        answer = {"revoked": list(revoked.ids), "changed": revoked.changed, "token": revoked.position.token}
        return json_response({"project_id": body.project_id, **answer})

    @route(
        "POST", "/api/v1/admin/recompute", Access.ADMIN,
        Answer(HTTPStatus.OK, RecomputedAnswer, description="One user, computed"),
        Answer(HTTPStatus.ACCEPTED, JobsAnswer, description="A project or all of them, in the background"),
        body=Body(RecomputeBody), tag="entitlements", problems=(*_NAMED, *_TOO_LARGE, "404 unknown_user"),
    )  # fmt: skip
    async def recompute(self, call: Call[RecomputeBody]) -> web.Response:
        """Compute again: one user now, a whole project or all projects as jobs.

        Name `project_id` with or without `user_id`, or `all`.
        """
        body = call.body
        if body.all and body.project_id is None and body.user_id is None:
            jobs = await self._operations.recompute_all(call.actor)
            listed = [{"project_id": name, "job_id": job_id} for name, job_id in jobs.items()]
            return json_response({"jobs": listed}, HTTPStatus.ACCEPTED)
        if body.all or body.project_id is None:
            raise bad_request("invalid_body", "name project_id, with user_id for one user; or all alone")
        if body.user_id is None:
            job_id = await self._operations.recompute_project(body.project_id, call.actor)
            return json_response({"project_id": body.project_id, "job_id": job_id}, HTTPStatus.ACCEPTED)
        user = parse_user(body.user_id)
        done = await self._operations.recompute_user(body.project_id, user, call.actor)
        answer = {"project_id": body.project_id, "user_id": user}
        return json_response({**answer, "changed": done.changed, "token": done.position.token})


def _which(body: RevokeBody) -> int | tuple[UserId, FeatureCode]:
    if body.grant_id is not UNSET and body.user_id is UNSET and body.feature is UNSET:
        if not 0 < body.grant_id <= MAX_ID:
            raise bad_request("invalid_body", "grant_id: must be a grant's id, a whole number from 1")
        return body.grant_id
    if body.grant_id is UNSET and body.user_id is not UNSET and body.feature is not UNSET:
        return parse_user(body.user_id), parse_feature(body.feature)
    raise bad_request("invalid_body", "name either grant_id, or user_id and feature")
