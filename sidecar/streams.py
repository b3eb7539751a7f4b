"""`GET /api/v1/stream`: opens streams, bounds how many there are, and ends them with the process."""

from dataclasses import dataclass
from http import HTTPStatus
from random import Random
from typing import Final

from aiohttp import web

from common.answers import parse_user
from common.clock import SECOND, Clock
from common.connection import Connection
from common.position import Position, PositionError
from common.problems import Problem
from sidecar.answering import Answerer
from sidecar.metrics import Metrics
from sidecar.stream import Ended, Stream
from sidecar.telling import Name, Teller

PATH: Final = "/api/v1/stream"

RETRY_MS: Final = (1_000, 3_000)
"""When clients come back by themselves: at different moments, so that a restarted sidecar is not run over."""

_HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep events until its buffer is full
}


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How many streams one process keeps open, and how many seconds before its end a grant is announced."""

    most: int = 1_000
    ahead: float = 86_400.0


class Streams:
    """All open streams of a process."""

    def __init__(self, answerer: Answerer, limits: StreamLimits, metrics: Metrics, clock: Clock, rng: Random) -> None:
        self._answerer = answerer
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._rng = rng
        self._open: set[Stream] = set()
        self._closing = False

    def add_routes(self, app: web.Application) -> None:
        """Serve streams, and end them when the application ends: they would keep it waiting."""
        app.router.add_get(PATH, self.stream, allow_head=False)
        app.on_shutdown.append(self._close)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """`GET /api/v1/stream?user_id=[&project_id=]`; Problem 503 `too_many_streams`.

        Before the first load a stream is open and silent: a browser does not come back after an error.
        """
        user = parse_user(request.query.get("user_id"))
        project = self._answerer.project(request.query.get("project_id"))
        if self._closing or len(self._open) >= self._limits.most:
            detail = f"this sidecar keeps {self._limits.most} streams open (SIDECAR_MAX_STREAMS); try again later"
            headers = {"Retry-After": "5"}
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too_many_streams", detail, headers=headers)
        with project.watchers.watching(user) as watcher:
            last = request.headers.get("Last-Event-ID")
            teller = Teller(int(self._limits.ahead * SECOND), resuming=bool(last))
            stream = Stream(self._answerer, project, watcher, teller, _position(last), self._clock, self._count)
            return await self._run(request, stream)

    async def _run(self, request: web.Request, stream: Stream) -> web.StreamResponse:
        response = web.StreamResponse(headers=_HEADERS)
        connection = request.protocol
        if isinstance(connection, Connection):
            connection.when_lost = lambda: stream.end(Ended.LEFT)
        self._open.add(stream)
        self._metrics.streams.inc()
        try:
            ended = await self._tell(request, response, stream)
            self._metrics.streams_ended.labels(ended.value).inc()
        finally:
            self._metrics.streams.dec()
            self._open.discard(stream)
        if ended is Ended.SLOW and request.transport is not None:
            request.transport.abort()  # an orderly end would wait for its reader as well
        return response

    async def _tell(self, request: web.Request, response: web.StreamResponse, stream: Stream) -> Ended:
        try:
            await response.prepare(request)
        except ConnectionError:
            return Ended.LEFT
        return await stream.run(response, self._rng.randint(*RETRY_MS))

    async def _close(self, _: web.Application) -> None:
        self._closing = True
        for stream in self._open:
            stream.end(Ended.SHUTDOWN)

    def _count(self, event: Name) -> None:
        self._metrics.stream_events.labels(event.value).inc()


def _position(last: str | None) -> Position | None:
    """Where a listener left off; None where it does not say, or what it says is not ours."""
    try:
        return None if not last else Position.parse(last)
    except PositionError:
        return None
