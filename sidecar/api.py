"""The sidecar's own HTTP face: check, one and many, and entitlements."""

from dataclasses import replace
from time import perf_counter
from typing import Any, Final

import orjson
from aiohttp import web

from common.answers import CheckQuery, parse_check, parse_min_revision, parse_used, parse_user
from common.http import json_response, middleware, read_body
from common.problems import Problem, bad_request
from sidecar.answering import Answerer
from sidecar.check import Judged
from sidecar.check_counts import CheckCounts
from sidecar.project import Project
from sidecar.shadow import Shadow, parse_expected

MOST_CHECKS: Final = 1_000  # judged in one go: a few milliseconds during which nobody else is answered
_MOST_BODY: Final = 1024 * 1024


class Api:
    """Routes of `SIDECAR_LISTEN`."""

    def __init__(self, answerer: Answerer, counts: CheckCounts, shadow: Shadow) -> None:
        self._answerer = answerer
        self._counts = counts
        self._shadow = shadow

    def application(self) -> web.Application:
        """An application with these routes."""
        app = web.Application(middlewares=[middleware])
        app.router.add_get("/api/v1/check", self.check)
        app.router.add_post("/api/v1/check", self.check_many)
        app.router.add_get("/api/v1/entitlements", self.entitlements)
        return app

    async def check(self, request: web.Request) -> web.Response:
        """`GET /api/v1/check?user_id=&feature=[&project_id=][&used=][&min_revision=][&expected=]`."""
        began = perf_counter()
        try:
            parameters = request.query
            query = parse_check(
                parameters.get("user_id"),
                parameters.get("feature"),
                parameters.get("used"),
                parameters.get("min_revision"),
            )
            told = parameters.get("expected")
            expected = None if told is None else parse_expected(told)
            project = self._answerer.project(parameters.get("project_id"))
            judged = await self._answerer.check(project, query)
        except Problem as problem:
            self._counts.count(problem.code)
            raise
        self._note(project, query, judged, expected)
        self._counts.observe(perf_counter() - began)
        return json_response(self._answerer.render(project, query, judged))

    async def check_many(self, request: web.Request) -> web.Response:
        """`POST /api/v1/check`.

        `{"checks":[{"user_id","feature","used"?,"expected"?},…],"project_id"?,"min_revision"?}`
        """
        body = _object(await read_body(request, _MOST_BODY))
        asked = _checks(body.get("checks"))
        queries = [query for query, _ in asked]
        wanted = _text("min_revision", body.get("min_revision"))
        min_revision = None if wanted is None else parse_min_revision(wanted)
        project = self._answerer.project(_text("project_id", body.get("project_id")))
        position, judged = await self._answerer.check_many(project, queries, min_revision)
        for (query, expected), one in zip(asked, judged, strict=True):
            self._note(project, query, one, expected)
        answers = [self._answerer.render(project, query, one) for query, one in zip(queries, judged, strict=True)]
        return json_response({"epoch": position.epoch, "revision": position.revision, "answers": answers})

    def _note(self, project: Project, query: CheckQuery, judged: Judged, expected: bool | None) -> None:
        self._counts.count(judged.decision.reason, stale=judged.standing.stale)
        if expected is not None:
            self._shadow.compare(project.id, query.user, query.feature, judged.decision, expected=expected)

    async def entitlements(self, request: web.Request) -> web.Response:
        """`GET /api/v1/entitlements?user_id=[&project_id=][&min_revision=]`."""
        user = parse_user(request.query.get("user_id"))
        wanted = request.query.get("min_revision")
        min_revision = None if wanted is None else parse_min_revision(wanted)
        project = self._answerer.project(request.query.get("project_id"))
        return json_response(await self._answerer.entitlements(project, user, min_revision))


def _object(data: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise bad_request("invalid_json", "the body is not JSON") from error
    if not isinstance(parsed, dict):
        raise bad_request("invalid_body", 'the body must be an object such as {"checks":[…]}')
    return parsed


def _checks(elements: Any) -> list[tuple[CheckQuery, bool | None]]:
    if not isinstance(elements, list) or not 1 <= len(elements) <= MOST_CHECKS:
        raise bad_request("invalid_checks", f"checks must be a list of 1 to {MOST_CHECKS} questions")
    return [_check(index, element) for index, element in enumerate(elements)]


def _check(index: int, element: Any) -> tuple[CheckQuery, bool | None]:
    try:
        if not isinstance(element, dict):
            raise bad_request("invalid_checks", 'must be an object such as {"user_id":"…","feature":"…"}')
        query = parse_check(_text("user_id", element.get("user_id")), _text("feature", element.get("feature")))
        used, expected = element.get("used"), element.get("expected")
        if used is not None:
            query = replace(query, used=parse_used(_count(used)))
        return query, None if expected is None else parse_expected(orjson.dumps(expected).decode())
    except Problem as problem:
        detail = f"checks[{index}]: {problem.detail}"
        raise Problem(problem.status, problem.code, detail, index=index) from problem


def _text(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise bad_request(f"invalid_{name.removesuffix('_id')}", f"{name} must be text")
    return value


def _count(value: Any) -> str:
    return str(value) if type(value) is int else ""
