"""HTTP as writer and sidecar both speak it: problems as documents, answers as JSON."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from common.problems import Problem

_log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_response(
    body: Any, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    """`body` as JSON."""
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=headers)


def render(problem: Problem) -> web.Response:
    """The problem as a response."""
    body = {
        "type": f"urn:billing:problem:{problem.code}",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "code": problem.code,
        "detail": problem.detail,
        **problem.more,
    }
    return web.Response(
        status=problem.status,
        body=orjson.dumps(body),
        content_type="application/problem+json",
        headers=problem.headers,
    )


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as a problem document; what nobody expected is logged and answered 500."""
    try:
        return await handler(request)
    except Problem as problem:
        return render(problem)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return render(_of_http(error, request))
    except Exception:  # the last resort of a request; logged with its trace
        _log.exception("request failed method=%s path=%s", request.method, request.path)
        return render(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "the request failed; it was logged"))


def _of_http(error: web.HTTPException, request: web.Request) -> Problem:
    status = HTTPStatus(error.status)
    match error:
        case web.HTTPNotFound():
            return Problem(status, "route_not_found", f"there is no {request.path}")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return Problem(status, "method_not_allowed", f"{request.path} takes {allowed}", headers={"Allow": allowed})
        case web.HTTPRequestEntityTooLarge():
            return Problem(status, "body_too_large", "the request's body is larger than allowed")
        case _:
            return Problem(status, status.phrase.lower().replace(" ", "_"), error.reason)
