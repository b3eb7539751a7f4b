"""`/authz/{feature}`: what nginx's `auth_request`, Envoy's `ext_authz` and Traefik's `forwardAuth` ask of each request.

The asker is a proxy, and what it sends on is mostly its client's: method, body, the path behind the feature, and the
query. Nothing of that has a say. Only the proxy's own configuration names the feature and the project; the user comes
in a header that the proxy sets and never passes on from outside.
"""

import json
from collections.abc import Iterator
from http import HTTPStatus
from time import perf_counter
from typing import Final
from urllib.parse import quote

from aiohttp import web

from common.answers import CheckQuery, parse_feature
from common.clock import format_time
from common.document import Value
from common.http import json_response
from common.identifiers import IdentifierError, UserId, user_id
from common.problems import Problem
from sidecar.answering import Answerer
from sidecar.check import Judged
from sidecar.check_counts import CheckCounts
from sidecar.project import Project

PREFIX: Final = "X-Entitlement-"

MOST_IN_A_HEADER: Final = 1_024
"""Characters of one header: nginx takes 4 KiB for all of them together."""


class ForwardAuth:
    """Answers 200, 401 or 403; anything else is a fault, which proxies answer by refusing."""

    def __init__(self, answerer: Answerer, counts: CheckCounts, user_header: str) -> None:
        self._answerer = answerer
        self._counts = counts
        self._user_header = user_header

    def add_routes(self, app: web.Application) -> None:
        """Serve any method; Envoy appends the original path."""
        app.router.add_route("*", "/authz/{feature}", self.decide)
        app.router.add_route("*", "/authz/{feature}/{original:.*}", self.decide)

    async def decide(self, request: web.Request) -> web.Response:
        """`ANY /authz/[project:]feature[/…][?project_id=]`, the user in a header.

        Problems: 401 `user_required`, `invalid_user`, and those of a check.
        """
        began = perf_counter()
        try:
            project, named = self._project(request)
            query = CheckQuery(self._user(request), parse_feature(named))
            judged = await self._answerer.check(project, query)
        except Problem as problem:
            self._counts.count(problem.code)
            raise
        self._counts.count(judged.decision.reason, stale=judged.standing.stale)
        self._counts.observe(perf_counter() - began)
        status = HTTPStatus.OK if judged.decision.allowed else HTTPStatus.FORBIDDEN
        answer = self._answerer.render(project, query, judged)
        return json_response(answer, status, dict(_headers(project, query, judged)))

    def _project(self, request: web.Request) -> tuple[Project, str]:
        """The project, and the feature's name."""
        name, _, feature = request.match_info["feature"].rpartition(":")
        if not name and "original" not in request.match_info:
            name = request.query.get("project_id", "")  # behind an appended path, it would be the client's
        return self._answerer.project(name), feature

    def _user(self, request: web.Request) -> UserId:
        told = request.headers.getall(self._user_header, [])
        if not any(told):
            detail = f"the request has no {self._user_header}: the proxy must set it to who is logged in"
            raise Problem(HTTPStatus.UNAUTHORIZED, "user_required", detail)
        if len(told) > 1:  # the client's own beside the proxy's
            detail = f"{self._user_header} was sent {len(told)} times: the proxy must replace what its client sent"
            raise Problem(HTTPStatus.UNAUTHORIZED, "invalid_user", detail)
        try:
            return user_id(told[0])
        except IdentifierError as error:
            raise Problem(HTTPStatus.UNAUTHORIZED, "invalid_user", str(error)) from error


def _headers(project: Project, query: CheckQuery, judged: Judged) -> Iterator[tuple[str, str]]:
    """The answer in headers.

    Each is always there, if empty: a proxy then replaces what its client sent under that name.
    """
    decision, standing = judged.decision, judged.standing
    yield PREFIX + "Allowed", _flag(decision.allowed)
    yield PREFIX + "Reason", decision.reason.value
    yield PREFIX + "Feature", query.feature
    yield PREFIX + "Project", project.id
    yield PREFIX + "Value", _value(decision.value)
    yield PREFIX + "Source", decision.source or ""
    yield PREFIX + "Valid-To", "" if decision.valid_to is None else format_time(decision.valid_to)
    yield PREFIX + "Stale", _flag(standing.stale)
    yield PREFIX + "Revision", standing.position.token
    yield PREFIX + "Unlocked-By", _listed(decision.unlocked_by)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _value(value: Value) -> str:
    """JSON in visible ASCII, so that nothing in it ends the header; empty for no value, and for one too long."""
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text if len(text) <= MOST_IN_A_HEADER else ""


def _listed(names: tuple[str, ...]) -> str:
    """As many as have room."""
    text = ""
    for name in names:
        longer = f"{text},{quote(name)}" if text else quote(name)
        if len(longer) > MOST_IN_A_HEADER:
            break
        text = longer
    return text
