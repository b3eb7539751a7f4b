"""One client's connection: what is no readable HTTP is answered like any other error, and logged without its bytes."""

import asyncio
import logging
from collections.abc import Callable
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

HEAD_SECONDS: Final = 15.0
"""For how long a request's head may arrive, from its first byte on: aiohttp itself would wait for an hour."""

IDLE_SECONDS: Final = 600.0
"""For how long a connection is kept on which nothing is asked; an app's pool keeps its own for less."""


class Connection(web.RequestHandler):
    """aiohttp's own, which would show the sender's bytes, with keys among them, in the answer and in the log."""

    when_lost: Callable[[], None] | None = None
    """Called when the connection ends: an answer that lasts must not find that out only with its next words."""

    _head_due: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Bytes came in: a head that has begun must be whole in time."""
        super().data_received(data)
        waits = self._waiter is not None and not self._messages
        if self._head_due is not None and not waits:
            self._head_due.cancel()
            self._head_due = None
        elif self._head_due is None and waits and data:
            self._head_due = self._loop.call_later(HEAD_SECONDS, self._give_up)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection ended, orderly or not."""
        super().connection_lost(exc)
        if self._head_due is not None:
            self._head_due.cancel()
        if self.when_lost is not None:
            self.when_lost()
            self.when_lost = None

    def _give_up(self) -> None:
        _log.info("request too slow seconds=%g", HEAD_SECONDS)
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it holds what was sent
    ) -> web.StreamResponse:
        """A problem document, after which the connection ends."""
        if isinstance(exc, UnicodeError):  # aiohttp would repeat what was sent, and cannot
            status = HTTPStatus.BAD_REQUEST
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
            "keepalive_timeout": IDLE_SECONDS,
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
