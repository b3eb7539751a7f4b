"""Keeps one project's copy in step: applies what arrives, fills gaps, and loads a fresh copy where that cannot.

One task does all of this for a project, one arrival after another, so nothing races; another project's task is
never held up by it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import assert_never

from common import tracing
from common.backoff import Backoff
from common.clock import SECOND, Clock
from common.position import Position
from common.tracing import Kind
from common.trail import followed
from common.wire import CatalogChanged, Change, Heartbeat, UserChanged
from sidecar.freshness import CLOCKS_DIFFER
from sidecar.inbox import Arrival, Inbox, Signal
from sidecar.metrics import Metrics
from sidecar.project import Mode, Project
from sidecar.repair import Needed, Repair
from sidecar.replica import Applied, Compared, Copy
from sidecar.sources import Source, SourceError
from sidecar.turns import Turns

_log = logging.getLogger(__name__)


class Follower:
    """The one writer of a project's live state. `subscribed` returns once the first subscription was tried."""

    def __init__(
        self,
        project: Project,
        inbox: Inbox,
        repair: Repair,
        subscribed: Callable[[], Awaitable[None]],
        metrics: Metrics,
        clock: Clock,
        rng: Random,
    ) -> None:
        self._project = project
        self._inbox = inbox
        self._repair = repair
        self._subscribed = subscribed
        self._metrics = metrics
        self._clock = clock
        self._fills = Backoff(rng)
        self._starts = Backoff(rng, most=2.0)  # an app waits for the first copy
        self._loads = Backoff(rng, first=0.25, most=30.0)
        self._fill_at = 0.0
        self._load_at = 0.0
        self._needed = Needed.NOTHING
        self._target: Position | None = None
        self._failing = False

    async def run(self) -> None:
        """Load what is not loaded, then follow, forever."""
        if not self._project.replica.synced:
            restored = await self._repair.restore()  # answers at once, before anybody is asked
            await self._subscribed()  # first subscribe, then load: what changes meanwhile waits in the inbox
            self._need(Needed.GAP if restored else Needed.START)
        while True:
            while self._due_in() == 0.0:
                await self._mend()
            arrival = await self._inbox.get(self._due_in())
            self._handle_waiting(arrival)
            await asyncio.sleep(0)

    def _handle_waiting(self, arrival: Arrival | None) -> None:
        turns = Turns()
        while arrival is not None:
            try:
                self._handle(arrival)
            finally:
                self._inbox.done()
            arrival = None if turns.over() else self._inbox.get_waiting()

    def _handle(self, arrival: Arrival) -> None:
        match arrival.what:
            case UserChanged() | CatalogChanged():
                self._take_change(arrival.what)
            case Heartbeat():
                self._take_heartbeat(arrival.what, arrival)
            case Signal.CONNECTED:
                self._need(Needed.GAP)
                if self._needed is Needed.START:
                    self._load_at = 0.0
            case Signal.CHANGES_GONE:
                self._need(Needed.LOST)
            case Signal.AHEAD:
                self._project.found_ahead(arrival.at)
            case _:
                assert_never(arrival.what)

    def _take_change(self, change: Change) -> None:
        match self._apply(change):
            case Applied.GAP:
                self._need(Needed.GAP, change.position)
            case Applied.NEW_EPOCH:
                self._need(Needed.EPOCH)
            case Applied.APPLIED | Applied.NOT_NEWER | Applied.OLD_EPOCH:
                pass

    def _apply(self, change: Change) -> Applied:
        if isinstance(change, UserChanged) and change.trail:
            return self._apply_on_its_trail(change)
        return self._applied(change)

    def _apply_on_its_trail(self, change: UserChanged) -> Applied:
        facts = {"project": self._project.id, "position": change.position.token}
        with followed(change.trail), tracing.span("change apply", Kind.CONSUMER, **facts) as span:
            outcome = self._applied(change)
            if span is not None:
                span.note("billing.outcome", outcome.name.lower())
            if outcome is Applied.APPLIED:
                _log.info("change applied project=%s position=%s", self._project.id, change.position.token)
        return outcome

    def _applied(self, change: Change) -> Applied:
        outcome = self._project.apply(change)
        if outcome is Applied.APPLIED:
            self._metrics.changes.labels(self._project.id).inc()
            if isinstance(change, UserChanged) and change.received_at is not None:
                seconds = max(0, self._clock.now() - change.received_at) / SECOND
                self._metrics.propagation_seconds.labels(self._project.id).observe(seconds)
        return outcome

    def _take_heartbeat(self, heartbeat: Heartbeat, arrival: Arrival) -> None:
        copy = self._project.replica.copy
        if copy is None or heartbeat.epoch < copy.position.epoch:
            return  # a lineage that was given up moves nobody back, and vouches for nothing
        if self._project.mode(arrival.at) is Mode.NONE:
            self._try_soon()
        self._project.heard(arrival.source, Position(heartbeat.epoch, heartbeat.head), arrival.at)
        self._compare_clocks(heartbeat, arrival)
        if heartbeat.epoch > copy.position.epoch:
            self._need(Needed.EPOCH)
        elif heartbeat.revision > copy.position.revision:
            if arrival.source is Source.REDIS:  # the writer's feed goes on by itself where a page was not the last
                self._need(Needed.GAP, heartbeat.position)
        else:
            self._compare(copy, heartbeat)

    def _compare_clocks(self, heartbeat: Heartbeat, arrival: Arrival) -> None:
        freshness = self._project.freshness
        if freshness.compare_clocks(heartbeat.sent_at, arrival.received_at):
            verdict = f"differ by more than {CLOCKS_DIFFER:g} s: grants begin and end at other times here"
            _log.warning(
                "clocks project=%s seconds_ahead=%.3f verdict=%s",
                self._project.id,
                freshness.clock_difference,
                verdict if freshness.clocks_differ else "agree again",
            )

    def _compare(self, copy: Copy, heartbeat: Heartbeat) -> None:
        match copy.compare(heartbeat.position, heartbeat.count, heartbeat.digest):
            case Compared.MATCHES:
                self._loads.reset()
                if self._needed is Needed.DIGEST:
                    self._needed = Needed.NOTHING
            case Compared.DIFFERS:
                self._found_differing(copy, "the digest differs")
            case Compared.ELSEWHERE:
                # Documents from beyond the committed head were never published: nothing will ever lead there.
                if not copy.consistent and copy.position == (heartbeat.epoch, heartbeat.head):
                    self._found_differing(copy, "it holds documents that were not committed")

    def _found_differing(self, copy: Copy, why: str) -> None:
        if self._needed is Needed.DIGEST:
            return
        self._metrics.digest_mismatches.labels(self._project.id).inc()
        token = copy.position.token
        _log.error("copy differs project=%s position=%s why=%s; loading it afresh", self._project.id, token, why)
        self._need(Needed.DIGEST)

    def _need(self, needed: Needed, target: Position | None = None) -> None:
        self._needed = max(self._needed, needed)
        if target is not None:
            self._target = target if self._target is None else max(self._target, target)

    def _try_soon(self) -> None:
        # A source has come back. Every sidecar hears that at the same moment, so each waits a little of its own.
        self._loads.reset()
        self._load_at = min(self._load_at, self._clock.monotonic() + self._loads.wait())

    def _due_in(self) -> float | None:
        if self._needed is Needed.NOTHING:
            return None
        at = self._fill_at if self._needed is Needed.GAP else self._load_at
        return max(0.0, at - self._clock.monotonic())

    async def _mend(self) -> None:
        needed = self._needed
        try:
            if needed is Needed.GAP:
                filled = await self._repair.fill(self._target, self._apply)
                self._needed = Needed.NOTHING if filled else Needed.LOST
                self._fills.reset()
            else:
                # Also after a load that went well: should its reason come again at once, it must not come in a loop.
                backoff = self._starts if needed is Needed.START else self._loads
                self._load_at = self._clock.monotonic() + backoff.wait()
                await self._repair.load(needed, self._first_source(needed))
                self._needed = Needed.NOTHING
        except SourceError as error:
            self._failed(needed, error)
        else:
            self._failing = False
            if self._needed is Needed.NOTHING:
                self._target = None

    def _first_source(self, needed: Needed) -> Source:
        if needed is Needed.START:
            return Source.REDIS
        heard = self._project.mode(self._clock.monotonic()) is Mode.REDIS
        # What Redis holds may be just what differs.
        return Source.REDIS if heard and needed is not Needed.DIGEST else Source.WRITER

    def _failed(self, needed: Needed, error: SourceError) -> None:
        self._metrics.load_failures.labels(self._project.id).inc()
        now = self._clock.monotonic()
        if needed is Needed.GAP:
            self._fill_at = now + self._fills.wait()
        if not self._failing:
            self._failing = True
            _log.warning("cannot mend project=%s reason=%s error=%s; trying on", self._project.id, needed.name, error)
