"""The OpenFeature Remote Evaluation Protocol: any OpenFeature SDK asks for entitlements, with no code of ours.

A flag is a feature of the project. Nothing is decided here: `Answerer` is asked, as by every other face.
"""

import logging
from collections.abc import Sequence
from hashlib import blake2b
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from aiohttp import web

from common.answers import CheckQuery, Standing, stood
from common.catalogue import Kind
from common.decision import Reason
from common.http import internal_error, json_response, read_body
from common.identifiers import IdentifierError, feature_code
from common.problems import Problem
from sidecar.answering import Answerer
from sidecar.check import Judged
from sidecar.metrics import Metrics
from sidecar.ofrep_context import Context, parse_context
from sidecar.ofrep_errors import ErrorCode, Refusal, flag_not_found, of_problem, render
from sidecar.ofrep_flags import MEMBER, flag_of, member_of
from sidecar.project import Project

_log = logging.getLogger(__name__)

PATH: Final = "/ofrep/v1/evaluate/flags"
STREAM_PATH: Final = "/api/v1/stream"
_OUTCOMES: Final = {ErrorCode.FLAG_NOT_FOUND: str(Reason.UNKNOWN_FEATURE)}
"""As what an error is counted: by the name that it has where checks are counted."""
_MOST_BODY: Final = 64 * 1024  # a context is a handful of attributes


class Ofrep:
    """Routes of the protocol."""

    def __init__(self, answerer: Answerer, metrics: Metrics) -> None:
        self._answerer = answerer
        self._checks = metrics.checks
        self._bulks = metrics.ofrep_bulks

    def add_routes(self, app: web.Application) -> None:
        """Serve these routes in an application."""
        app.router.add_post(PATH, self.flags)
        app.router.add_post(PATH + "/{key}", self.flag)

    async def flag(self, request: web.Request) -> web.Response:
        """`POST /ofrep/v1/evaluate/flags/{key}` `{"context":{"targetingKey",…}}`: one feature of one user."""
        began = perf_counter()
        key = request.match_info["key"]
        try:
            answer = await self._flag(request, key)
        except Exception as error:  # the last resort of a request
            refusal = _refusal_of(error)
            self._checks.count(_OUTCOMES.get(refusal.code, refusal.code.lower()))
            return render(refusal, key)
        self._checks.observe(perf_counter() - began)
        return answer

    async def flags(self, request: web.Request) -> web.Response:
        """`POST /ofrep/v1/evaluate/flags`: all features of one user; 304 where `If-None-Match` has what holds still."""
        try:
            answer = await self._flags(request)
        except Exception as error:  # the last resort of a request
            refusal = _refusal_of(error)
            self._bulks.labels(refusal.code.lower()).inc()
            return render(refusal, None)
        self._bulks.labels("unchanged" if answer.status == HTTPStatus.NOT_MODIFIED else "answered").inc()
        return answer

    async def _flag(self, request: web.Request, key: str) -> web.Response:
        context = parse_context(await read_body(request, _MOST_BODY))
        project = self._answerer.project(context.project)
        code, _, member = key.partition(MEMBER)
        try:
            query = CheckQuery(context.user, feature_code(code), min_revision=context.min_revision)
        except IdentifierError as error:  # no catalogue can hold it
            raise flag_not_found(f"there is no such flag: {error}") from error
        judged = await self._answerer.check(project, query)
        feature = self._answerer.features(project).get(query.feature)
        if feature is None or judged.decision.reason is Reason.UNKNOWN_FEATURE:
            raise flag_not_found(f"project {project.id} has no feature {code}")
        if member and feature.kind is not Kind.CONFIG:
            raise flag_not_found(f"feature {code} is no configuration, so it has no members")
        flag = flag_of(feature, judged.decision, context.unlimited_as)
        if member:
            flag = member_of(flag, member)
        self._checks.count(judged.decision.reason, stale=judged.standing.stale)
        flag["metadata"] |= stood(judged.standing)
        return json_response(flag)

    async def _flags(self, request: web.Request) -> web.Response:
        context = parse_context(await read_body(request, _MOST_BODY))
        project = self._answerer.project(context.project)
        queries = [CheckQuery(context.user, code) for code in sorted(self._answerer.features(project))]
        position, judged = await self._answerer.check_many(project, queries, context.min_revision)
        features = self._answerer.features(project)  # it may have waited, and the catalogue changed
        flags = [
            flag_of(features[query.feature], one.decision, context.unlimited_as)
            for query, one in zip(queries, judged, strict=True)
            if query.feature in features
        ]
        standing = _together(Standing(position, age_ms=0, stale=False), judged)
        rendered = orjson.dumps(flags)
        tag = _tag(project, context, standing, rendered)
        headers = {"ETag": f'"{tag}"'}
        if any(held.value == tag for held in request.if_none_match or ()):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        metadata = {"project_id": project.id, **stood(standing)}
        body = {"flags": orjson.Fragment(rendered), "metadata": metadata, "eventStreams": [_stream(project, context)]}
        return json_response(body, headers=headers)


def _stream(project: Project, context: Context) -> dict[str, Any]:
    """Where the client hears of changes; without an origin: it is the one that the client already asks."""
    query = urlencode({"user_id": context.user, "project_id": project.id})
    return {"type": "sse", "endpoint": {"requestUri": f"{STREAM_PATH}?{query}"}}


def _refusal_of(error: Exception) -> Refusal:
    match error:
        case Refusal():
            return error
        case Problem():
            return of_problem(error)
        case _:
            _log.error("evaluation failed", exc_info=error)
            return of_problem(internal_error())


def _together(standing: Standing, judged: Sequence[Judged]) -> Standing:
    """What all answers say of where they came from: as old as the oldest of them."""
    standings = [one.standing for one in judged]
    return Standing(
        standing.position,
        age_ms=max((one.age_ms for one in standings), default=0),
        stale=any(one.stale for one in standings),
        behind=any(one.behind for one in standings),
    )


def _tag(project: Project, context: Context, standing: Standing, flags: bytes) -> str:
    """Another one whenever a decision is another one, by a change or by time, or the copy turns stale; age is none."""
    told = blake2b(flags, digest_size=16)
    told.update(orjson.dumps([project.id, context.user, standing.stale, standing.behind]))
    return told.hexdigest()
