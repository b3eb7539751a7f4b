"""The writer's changes over HTTP, into a project's inbox, for as long as Redis is silent."""

import asyncio
import logging
from random import Random
from typing import Final

from common.backoff import Backoff
from common.clock import Clock
from common.position import Position
from common.transfer import ChangesPage
from common.wire import Message
from sidecar.catchup import ChangesOrigin
from sidecar.inbox import Arrival, Inbox, Signal
from sidecar.project import Project
from sidecar.refusals import Refusals
from sidecar.sources import AheadError, ChangesGoneError, Source, SourceError, UnreadableError

_log = logging.getLogger(__name__)

_WAIT: Final = 1.0  # seconds that the writer may hold a poll; its heartbeat in the answer keeps the age small
_PAUSE: Final = 0.5  # between polls that brought nothing new at once, so that no writer is asked in a tight loop


class WriterFeed:
    """Polls the writer once Redis has been silent for three heartbeats, until heartbeats return there."""

    def __init__(
        self, project: Project, origin: ChangesOrigin, inbox: Inbox, refusals: Refusals, clock: Clock, rng: Random
    ) -> None:
        self._project = project
        self._origin = origin
        self._inbox = inbox
        self._refusals = refusals
        self._clock = clock
        self._rng = rng
        self._backoff = Backoff(rng, first=0.2, most=2.0)
        self._failing = False

    async def run(self) -> None:
        """Follow whenever nobody else does, forever."""
        began = self._clock.monotonic()
        while True:
            now = self._clock.monotonic()
            # Before the first heartbeat Redis gets the same time to speak as after the last one.
            silent_in = max(self._project.silent_in(Source.REDIS, now), self._grace(began, now))
            position = self._project.position
            if silent_in > 0 or position is None:
                await asyncio.sleep(max(min(silent_in, 1.0), 0.05))
                continue
            await asyncio.sleep(await self._poll(position))

    def _grace(self, began: float, now: float) -> float:
        return max(0.0, began + 1.5 - now)

    async def _poll(self, position: Position) -> float:
        """Ask once; seconds to wait before the next time."""
        asked_at = self._clock.monotonic()
        try:
            page = await self._origin.changes(self._project.id, position, _WAIT)
        except ChangesGoneError:
            return await self._signal(Signal.CHANGES_GONE)
        except AheadError:
            return await self._signal(Signal.AHEAD)
        except SourceError as error:
            return await self._failed(error)
        if self._failing:
            self._failing = False
            _log.info("the writer answers again project=%s", self._project.id)
        self._backoff.reset()
        await self._deliver(page)
        quick = self._clock.monotonic() - asked_at < _PAUSE
        return self._jittered(_PAUSE) if quick and self._project.position == position else 0.0

    async def _deliver(self, page: ChangesPage) -> None:
        for change in page.changes:
            self._put(change)
        self._put(page.heartbeat)
        await self._inbox.settled()

    async def _signal(self, signal: Signal) -> float:
        self._put(signal)
        await self._inbox.settled()
        return self._jittered(1.0)

    async def _failed(self, error: SourceError) -> float:
        if isinstance(error, UnreadableError):
            self._refusals.note(self._project.id, "changes", error)
            self._put(Signal.CHANGES_GONE)
        if not self._failing:
            self._failing = True
            _log.warning("cannot follow the writer project=%s error=%s", self._project.id, error)
        return self._backoff.wait()

    def _put(self, what: Message | Signal) -> None:
        self._inbox.put(Arrival(what, Source.WRITER, self._clock.monotonic(), self._clock.now()))

    def _jittered(self, seconds: float) -> float:
        return seconds * (0.5 + self._rng.random() / 2)
