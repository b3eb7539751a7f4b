"""A project's channel in Redis, into its inbox; it comes back by itself."""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Final, Protocol

from common.backoff import Backoff
from common.clock import Clock
from common.identifiers import ProjectId
from common.wire import WireError
from sidecar.inbox import Arrival, Inbox, Signal
from sidecar.refusals import Refusals
from sidecar.sources import Source, UnavailableError, read_message
from sidecar.turns import Turns

_log = logging.getLogger(__name__)

_FIRST_JITTER: Final = 0.05  # seconds; a whole fleet may start at once
_LONGEST_PAUSE: Final = 3.0  # seconds; hundreds who try that often are no load, and a fleet is back in step soon


class Subscription(Protocol):
    """A subscription that stands."""

    async def next(self) -> bytes:
        """The next message; UnavailableError once the connection is lost or dead."""
        ...


class Channel(Protocol):
    """Redis's pub/sub."""

    def subscribe(self, project: ProjectId) -> AbstractAsyncContextManager[Subscription]:
        """Subscribed once entered: nothing published from then on is missed unless `next` raises."""
        ...


class RedisFeed:
    """Brings messages of one project, and a signal each time that the subscription stands again."""

    def __init__(
        self, project: ProjectId, channel: Channel, inbox: Inbox, refusals: Refusals, clock: Clock, rng: Random
    ) -> None:
        self._project = project
        self._channel = channel
        self._inbox = inbox
        self._refusals = refusals
        self._clock = clock
        self._rng = rng
        self._tried = asyncio.Event()

    async def tried(self) -> None:
        """Wait until the first attempt to subscribe has ended, well or not."""
        await self._tried.wait()

    async def run(self) -> None:
        """Subscribe, listen, and subscribe again, forever."""
        backoff = Backoff(self._rng, most=_LONGEST_PAUSE)
        await asyncio.sleep(self._rng.random() * _FIRST_JITTER)
        lost = False
        while True:
            try:
                async with self._channel.subscribe(self._project) as subscription:
                    _log.info("subscribed project=%s", self._project)
                    backoff.reset()
                    lost = False
                    self._put(Signal.CONNECTED)
                    self._tried.set()
                    await self._listen(subscription)
            except UnavailableError as error:
                if not lost:
                    _log.warning("no subscription project=%s error=%s", self._project, error)
                lost = True
            finally:
                self._tried.set()
            await asyncio.sleep(backoff.wait())

    async def _listen(self, subscription: Subscription) -> None:
        turns = Turns()
        while True:
            data = await subscription.next()
            try:
                message = read_message(data, self._project)
            except WireError as error:
                self._refusals.note(self._project, "channel", error)
            else:
                self._inbox.put(Arrival(message, Source.REDIS, self._clock.monotonic(), self._clock.now()))
            if turns.over():
                await turns.give()

    def _put(self, signal: Signal) -> None:
        self._inbox.put(Arrival(signal, Source.REDIS, self._clock.monotonic(), self._clock.now()))
