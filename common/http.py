"""HTTP as writer and sidecar both speak it: problems as documents, answers as JSON."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import web

from common.problems import Problem, bad_request

_log = logging.getLogger(__name__)

BODY_SECONDS: Final = 20.0
"""For how long a body may arrive: whoever is slower holds a connection for nothing."""

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


async def read_body(request: web.Request, limit: int) -> bytes:
    """The body, at most `limit` bytes, as it was sent.

    Problems: 413 `body_too_large`, 415 `unsupported_content_encoding`, 408 `body_too_slow`, 400 `malformed_body`.
    """
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    content = request.content
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        detail = "the body must be sent as it is, without Content-Encoding"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_content_encoding", detail, headers=_LAST)
    body = bytearray()
    try:
        if content.is_eof():  # all of it came with its head: nothing is left to wait for
            return _bounded(content.read_nowait(), limit)
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in content.iter_any():
                body += chunk
                if len(body) > limit:
                    raise _too_large(limit)
    except TimeoutError as error:
        detail = f"the body did not arrive within {BODY_SECONDS:g} s"
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "body_too_slow", detail, headers=_LAST) from error
    except (web.RequestPayloadError, ConnectionError) as error:  # spoiled, or its sender has gone: nobody's fault here
        raise bad_request("malformed_body", "the body is not encoded as its headers say, or ended early") from error
    return bytes(body)


def _bounded(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise _too_large(limit)
    return body


def internal_error() -> Problem:
    """What is told of a fault of ours."""
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "the request failed; it was logged")


# What is left unread is not worth reading: the connection ends with the answer.
_LAST: Final = {"Connection": "close"}


def _too_large(limit: int) -> Problem:
    detail = f"the body may have {limit} bytes"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", detail, headers=_LAST)


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
        return render(internal_error())


def _of_http(error: web.HTTPException, request: web.Request) -> Problem:
    status = HTTPStatus(error.status)
    match error:
        case web.HTTPNotFound():
            return Problem(status, "route_not_found", f"there is no {request.path}")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return Problem(status, "method_not_allowed", f"{request.path} takes {allowed}", headers={"Allow": allowed})
        case _:
            return Problem(status, status.phrase.lower().replace(" ", "_"), error.reason)
