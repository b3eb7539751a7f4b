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

    __slots__ = ("_between", "_body_left", "_in_head", "_lane")

    def __init__(self, lane: FastLane, manager: ConnectionServer, **options: Any) -> None:
        super().__init__(manager, **options)
        self._lane = lane
        self._between = True
        """Whether the parser stands between two requests: it holds no part of one."""
        self._in_head = False
        """Whether the parser holds the beginning of one request's head, and nothing else."""
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
        if not data:  # aiohttp goes on with what it has kept back, and then the parser did not stand between requests
            return
        if self._body_left:
            self._between = len(data) == self._body_left
            self._body_left = max(0, self._body_left - len(data))
            return
        if not (self._between or self._in_head):
            return
        whole_head, self._between, self._in_head = self._between, False, False
        new = list(self._messages)[waiting:]
        if self._upgraded or len(self._messages) >= self._max_msg_queue_size:
            return
        if not new:
            self._in_head = True
        elif all(payload is EMPTY_PAYLOAD for _, payload in new):  # after what cannot be read the connection ends
            self._between = data.endswith(_END)
        elif len(new) == 1 and whole_head:
            message = new[0][0]
            if isinstance(message, RawRequestMessage):
                self._expect_body(message, data)

    def _expect_body(self, message: RawRequestMessage, data: bytes) -> None:
        length, end = message.headers.get("Content-Length", ""), data.find(_END)
        if not length.isdecimal() or end < 0:
            return
        left = end + len(_END) + int(length) - len(data)
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
