"""Errors as OpenFeature's clients read them: an `errorCode` of the protocol, and always `errorDetails`."""

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from aiohttp import web

from common.http import json_response
from common.problems import Problem


class ErrorCode(StrEnum):
    """The protocol's own codes."""

    PARSE_ERROR = "PARSE_ERROR"
    TARGETING_KEY_MISSING = "TARGETING_KEY_MISSING"
    INVALID_CONTEXT = "INVALID_CONTEXT"
    FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
    GENERAL = "GENERAL"


class Refusal(Exception):  # noqa: N818 - it is told to a client, as a problem is
    """An error for which the protocol has a code."""

    def __init__(
        self, status: HTTPStatus, code: ErrorCode, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers


_CONTEXT: Final = frozenset({"invalid_user", "project_required", "unknown_project", "invalid_min_revision"})
"""Problems that the context is to blame for, whatever status they have elsewhere."""


def parse_error(detail: str) -> Refusal:
    """400 `PARSE_ERROR`."""
    return Refusal(HTTPStatus.BAD_REQUEST, ErrorCode.PARSE_ERROR, detail)


def targeting_key_missing(detail: str) -> Refusal:
    """400 `TARGETING_KEY_MISSING`."""
    return Refusal(HTTPStatus.BAD_REQUEST, ErrorCode.TARGETING_KEY_MISSING, detail)


def invalid_context(detail: str) -> Refusal:
    """400 `INVALID_CONTEXT`."""
    return Refusal(HTTPStatus.BAD_REQUEST, ErrorCode.INVALID_CONTEXT, detail)


def flag_not_found(detail: str) -> Refusal:
    """404 `FLAG_NOT_FOUND`."""
    return Refusal(HTTPStatus.NOT_FOUND, ErrorCode.FLAG_NOT_FOUND, detail)


def of_problem(problem: Problem) -> Refusal:
    """A problem of any of our routes, told in the protocol's words."""
    if problem.code in _CONTEXT:
        return invalid_context(f"evaluation context: {problem.detail}")
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        # Its clients know 500 as an error, and nothing above.
        return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, ErrorCode.GENERAL, problem.detail, problem.headers)
    return Refusal(problem.status, ErrorCode.PARSE_ERROR, problem.detail, problem.headers)


def render(refusal: Refusal, key: str | None) -> web.Response:
    """The refusal as a response; `key` is the flag that was asked for, None where all were."""
    body = {"errorCode": refusal.code.value, "errorDetails": refusal.detail}
    return json_response(body if key is None else {"key": key, **body}, refusal.status, refusal.headers)
