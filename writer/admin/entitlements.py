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
from writer.auth import Authenticator
from writer.bodies import read_body
from writer.operations.grants import GrantOrder
from writer.operations.operations import Operations
from writer.refusals import answered

_MAX_IDEMPOTENCY_KEY: Final = 255


class EntitlementRoutes:
    """Handlers; each takes the admin key and answers a `token` that sidecars take as `min_revision`."""

    def __init__(self, auth: Authenticator, operations: Operations) -> None:
        self._auth = auth
        self._operations = operations

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [
            web.post("/api/v1/admin/grant", answered(self.grant)),
            web.post("/api/v1/admin/revoke", answered(self.revoke)),
            web.post("/api/v1/admin/recompute", answered(self.recompute)),
        ]

    async def grant(self, request: web.Request) -> web.Response:
        """Give a feature; with an `Idempotency-Key` only once."""
        actor = await self._auth.admin(request)
        body = await read_body(request, GrantBody)
        order = GrantOrder(
            user=parse_user(body.user_id),
            feature=parse_feature(body.feature),
            value=body.value,
            valid_from=time_of("valid_from", body.valid_from),
            valid_to=time_of("valid_to", body.valid_to),
            reason=body.reason,
            idempotency_key=_idempotency_key(request),
        )
        granted = await self._operations.grant(body.project_id, order, actor)
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

    async def revoke(self, request: web.Request) -> web.Response:
        """Take grants back; `revoked` lists those that ended now."""
        actor = await self._auth.admin(request)
        body = await read_body(request, RevokeBody)
        revoked = await self._operations.revoke_grant(body.project_id, _which(body), body.reason, actor)
        answer = {"revoked": list(revoked.ids), "changed": revoked.changed, "token": revoked.position.token}
        return json_response({"project_id": body.project_id, **answer})

    async def recompute(self, request: web.Request) -> web.Response:
        """One user now, or the whole project as a job."""
        actor = await self._auth.admin(request)
        body = await read_body(request, RecomputeBody)
        if body.user_id is None:
            job_id = await self._operations.recompute_project(body.project_id, actor)
            return json_response({"project_id": body.project_id, "job_id": job_id}, HTTPStatus.ACCEPTED)
        user = parse_user(body.user_id)
        done = await self._operations.recompute_user(body.project_id, user, actor)
        answer = {"project_id": body.project_id, "user_id": user}
        return json_response({**answer, "changed": done.changed, "token": done.position.token})


def _which(body: RevokeBody) -> int | tuple[UserId, FeatureCode]:
    if body.grant_id is not UNSET and body.user_id is UNSET and body.feature is UNSET:
        if not 0 < body.grant_id < 2**63:
            raise bad_request("invalid_body", "grant_id: must be a grant's id, a whole number from 1")
        return body.grant_id
    if body.grant_id is UNSET and body.user_id is not UNSET and body.feature is not UNSET:
        return parse_user(body.user_id), parse_feature(body.feature)
    raise bad_request("invalid_body", "name either grant_id, or user_id and feature")


def _idempotency_key(request: web.Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not (1 <= len(key) <= _MAX_IDEMPOTENCY_KEY and key.isascii() and key.isprintable()):
        detail = f"Idempotency-Key must have 1 to {_MAX_IDEMPOTENCY_KEY} printable ASCII characters"
        raise bad_request("invalid_idempotency_key", detail)
    return key
