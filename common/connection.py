"""One client's connection: what is no readable HTTP is answered like any other error, and logged without its bytes."""

import logging
from http import HTTPStatus
from typing import Final, Self

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from common.http import internal_error, render
from common.problems import Problem, bad_request

_log = logging.getLogger(__name__)

MAX_LINE: Final = 8190
"""Bytes of the request line, and of each header."""

_LINGER_SECONDS: Final = 2.0
"""For how long the rest of a refused body is thrown away, so that its sender can read why."""


class Connection(web.RequestHandler):
    """aiohttp's own, which would show the sender's bytes, with keys among them, in the answer and in the log."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it holds what was sent
    ) -> web.StreamResponse:
        """A problem document, after which the connection ends."""
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("request failed outside of its handler", exc_info=exc)
        else:
            _log.info("unreadable request from=%s error=%s", request.remote, type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        response = render(_problem(status, exc))
        response.force_close()
        return response


class ConnectionServer(web.Server):
    """Makes a `Connection` for each client."""

    @classmethod
    def instead_of(cls, server: web.Server) -> Self:
        """A server that hands requests on to the same application as `server`, with bodies as they were sent."""
        options = {
            **server._kwargs,  # noqa: SLF001 - aiohttp has no other way to keep what it chose
            # A body is read under a limit, and signatures are over what was sent: nobody needs it decompressed.
            "auto_decompress": False,
            "max_line_size": MAX_LINE,
            "max_field_size": MAX_LINE,
            "lingering_time": _LINGER_SECONDS,
        }
        return cls(server.request_handler, request_factory=server.request_factory, **options)

    def __call__(self) -> Connection:
        """A new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)


def _problem(status: int, error: BaseException | None) -> Problem:
    if isinstance(error, LineTooLong):
        detail = f"the request line, and each header, may have {MAX_LINE} bytes"
        return Problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "header_too_large", detail)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return internal_error()
    return bad_request("malformed_request", "what was sent is not an HTTP/1.1 request that can be read")
