"""One open stream of server-sent events: a user's answers, whenever they change.

It holds no queue. It is woken, judges what holds now, and tells it if that is new: who reads slowly hears fewer
events, the last of them always true, and who reads nothing any more is dropped.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import orjson
from aiohttp import web

from common.answers import CheckQuery
from common.clock import SECOND, Clock, Instant
from common.position import Position
from sidecar.answering import Answerer
from sidecar.project import Project
from sidecar.telling import Answers, Event, Name, Teller
from sidecar.watchers import Watcher

KEEP_ALIVE_SECONDS: Final = 15.0
"""Proxies end what is silent for a minute."""

SLOW_SECONDS: Final = 10.0
"""For how long a reader may leave everything unread once the buffers are full."""

_CLOCKS_APART: Final = 2.0
"""Seconds by which the clocks of writer and sidecar may differ more than was measured."""

_ALIVE: Final = b":\n"  # without an empty line, after which some clients would see an event
_LEAST_WAIT: Final = 0.001  # seconds; a timer may fire a little before the moment that it was set for


class Ended(StrEnum):
    """Why a stream ended."""

    LEFT = "left"
    SLOW = "slow"
    SHUTDOWN = "shutdown"


class Stream:
    """`told`: the position that the listener was told everything at before; None where it is new or does not know."""

    def __init__(
        self,
        answerer: Answerer,
        project: Project,
        watcher: Watcher,
        teller: Teller,
        told: Position | None,
        clock: Clock,
        count: Callable[[Name], None],
    ) -> None:
        self._answerer = answerer
        self._project = project
        self._watcher = watcher
        self._teller = teller
        self._told = told
        self._clock = clock
        self._count = count
        self.ended: Ended | None = None

    def end(self, why: Ended) -> None:
        """End it at once."""
        self.ended = self.ended or why
        self._watcher.wake()

    async def run(self, response: web.StreamResponse, retry_ms: int) -> Ended:
        """Tell the response, which was begun, until something ends it."""
        text = f"retry: {retry_ms}\n".encode()
        wrote = self._clock.monotonic()
        while self.ended is None:
            text += await self._news()
            silent = self._clock.monotonic() - wrote
            if text or silent >= KEEP_ALIVE_SECONDS:
                try:
                    async with asyncio.timeout(SLOW_SECONDS):
                        await response.write(text or _ALIVE)
                except TimeoutError:
                    return Ended.SLOW
                except ConnectionError:
                    return Ended.LEFT
                wrote, silent, text = self._clock.monotonic(), 0.0, b""
            await self._watcher.wait(self._rest(KEEP_ALIVE_SECONDS - silent))
        return self.ended

    async def _news(self) -> bytes:
        answers = await self._answers()
        if answers is None:
            return b""
        now = self._clock.now()
        told, self._told = self._told, None
        if told is not None and self._knows(answers, told, now):
            self._teller.assume(answers)
        return b"".join([self._written(event, answers.position) for event in self._teller.tell(answers, now)])

    def _knows(self, answers: Answers, told: Position, now: Instant) -> bool:
        freshness = self._project.freshness
        if freshness.policy.max_stale is not None:
            return False  # what was told may have followed the stale policy
        return answers.known_at(told, now, _CLOCKS_APART + abs(freshness.clock_difference or 0.0))

    async def _answers(self) -> Answers | None:
        """Everything that holds now; None before the first load.

        Who was told something newer by another sidecar waits for it, as with `min_revision`.
        """
        copy = self._project.replica.copy
        if copy is None:
            return None
        user = self._watcher.user
        queries = [CheckQuery(user, code) for code in sorted(copy.catalogue.features)]
        position, judged = await self._answerer.check_many(self._project, queries, self._told)
        copy = self._project.replica.copy or copy
        return Answers(
            user,
            self._project.id,
            position,
            copy.catalogue.position,
            copy.document(user),
            {query.feature: one.decision for query, one in zip(queries, judged, strict=True)},
            stale=any(one.standing.stale for one in judged),
            behind=any(one.standing.behind for one in judged),
        )

    def _written(self, event: Event, position: Position) -> bytes:
        self._count(event.name)
        name = b"" if event.name is Name.MESSAGE else f"event: {event.name.value}\n".encode()
        return b"%bid: %b\ndata: %b\n\n" % (name, position.token.encode(), orjson.dumps(event.data))

    def _rest(self, seconds: float) -> float:
        """Seconds to wait at most: until time makes something new, or a sign of life is due."""
        now = self._clock.now()
        moment = self._teller.look_again(now)
        if moment is not None:
            seconds = min(seconds, (moment - now) / SECOND)
        return max(_LEAST_WAIT, seconds)
