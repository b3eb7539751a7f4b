"""Errors that a request can meet: RFC 9457 problems with a stable `code`. Rendered by `common.http`."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any


class Problem(Exception):  # noqa: N818 - the RFC's own word
    """What was wrong with a request: `code` is stable, `detail` says what is wrong and how to mend it.

    `more` holds further members of the document, such as `portal_url`.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers
        self.more = more


def bad_request(code: str, detail: str) -> Problem:
    """400 with a code of its own."""
    return Problem(HTTPStatus.BAD_REQUEST, code, detail)
