"""A connection with two lanes: the fast one while nothing else is under way on it, aiohttp's for everything else.

It leans on inner members of aiohttp's `RequestHandler`, which is why pyproject.toml bounds aiohttp's version;
`tests/contract/lanes/test_inner_members.py` says which they are, and what each must mean.
"""

from typing import Any, Final

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD

from common.connection import Connection, ConnectionServer
from common.listening import Connections
from sidecar.fast_lane import FastLane

_END: Final = b"\r\n\r\n"


class FastConnection(Connection):
    """One client's connection."""

    __slots__ = ("_between", "_body_left", "_lane")

    def __init__(self, lane: FastLane, manager: ConnectionServer, **options: Any) -> None:
        super().__init__(manager, **options)
        self._lane = lane
        self._between = True
        """Whether the parser stands between two requests: it holds no part of one."""
        self._body_left = 0
        """Bytes that are still to come of a body, where their number was told."""

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        if (
            self._between
            and self._waiter is not None  # aiohttp waits for a request: none is in hand
            and not self._messages
            and not self._paused
            and not self._close
            and not self._force_close
        ):
            answer = self._lane.answer(data)
            if answer is not None:
                self.transport.write(answer)  # type: ignore[union-attr] # it is there while nothing is closed
                self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
                return
        self._receive(data)

    def _receive(self, data: bytes) -> None:
        """Hand over to aiohttp, and see whether its parser stands between two requests afterwards."""
        waiting = len(self._messages)
        super().data_received(data)
        if self._body_left:
            self._between = len(data) == self._body_left
            self._body_left = max(0, self._body_left - len(data))
            return
        if not self._between:
            return
        self._between = False
        new = list(self._messages)[waiting:]
        if self._upgraded or len(self._messages) >= self._max_msg_queue_size:
            return
        if new and data.endswith(_END) and all(payload is EMPTY_PAYLOAD for _, payload in new):
            self._between = all(isinstance(message, RawRequestMessage) for message, _ in new)
        elif len(new) == 1 and isinstance(new[0][0], RawRequestMessage):
            self._expect_body(new[0][0], data)

    def _expect_body(self, message: RawRequestMessage, data: bytes) -> None:
        length = message.headers.get("Content-Length", "")
        if message.chunked or not length.isdecimal():
            return
        left = data.index(_END) + len(_END) + int(length) - len(data)
        self._between = left == 0
        self._body_left = max(0, left)


class FastServer(ConnectionServer):
    """Makes a `FastConnection` for each client."""

    lane: FastLane

    @classmethod
    def with_lane(cls, lane: FastLane) -> Connections:
        """How to make one out of aiohttp's own server."""

        def connections(server: web.Server) -> FastServer:
            made = cls.instead_of(server)
            made.lane = lane
            return made

        return connections

    def __call__(self) -> FastConnection:
        """A new connection."""
        return FastConnection(self.lane, self, loop=self._loop, **self._kwargs)
