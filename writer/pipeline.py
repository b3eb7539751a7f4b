"""Pipeline: pending events are applied, object by object; what fails waits its turn and holds nobody else up."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from common import tracing
from common.background import supervise
from common.clock import SECOND, Clock
from common.tracing import Kind
from common.trail import followed
from writer import schedule
from writer.apply.applier import Applier, ObjectMovingError, Outcome, Result
from writer.domain.stripe.event import parse_event
from writer.domain.stripe.fields import ShapeError
from writer.domain.stripe.kinds import ObjectKind
from writer.gateway.errors import StripeRefusedError, StripeUnavailableError
from writer.gateway.fetching import FetchNeededError, allow_or_raise
from writer.lanes import FETCHERS, PATIENCE_SECONDS, WORKERS, Lanes
from writer.outbox import Cause
from writer.pending import Newest, PendingEvents, settle
from writer.recompute import DocumentTooLargeError
from writer.schedule import Schedule
from writer.supervision import DATABASE_FAULTS, SPREAD, Outage, jittered, pauses

_log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.25
LATER_SECONDS: Final = 15.0
"""When an object is looked at again for whose fetch there was no room."""

_CLAIMED_AHEAD: Final = 500
"""Events that polling claims beyond what waits already: enough to keep busy, and other writers get their part."""

_RENEWALS: Final = 3
"""How often a claim is renewed while its object waits for a fetch."""

_BUGS_OF_OURS: Final = (DataError, IntegrityError, ProgrammingError)
"""Postgres works, and refuses what we ask of it."""


class Pipeline:
    """Works on events that were handed over in this process, and on those that polling finds due."""

    def __init__(
        self,
        pending: PendingEvents,
        applier: Applier,
        clock: Clock,
        registry: CollectorRegistry,
        on_crash: Callable[[str], None],
        *,
        workers: int = WORKERS,
        fetchers: int = FETCHERS,
        outage: Schedule = schedule.OUTAGE,
        surprise: Schedule = schedule.SURPRISE,
    ) -> None:
        self._pending = pending
        self._applier = applier
        self._clock = clock
        self._on_crash = on_crash
        self._outage = outage
        self._surprise = surprise
        self._lanes = Lanes(self.process, clock, workers=workers, fetchers=fetchers)
        self._stopping = asyncio.Event()
        self._metrics(registry)

    def hand(self, object_id: str, *, awaited: bool = True) -> None:
        """Work on the object's events soon; sooner where somebody waits. What finds no room is left to polling."""
        self._lanes.hand(object_id, awaited=awaited)

    async def let_payers_first(self, _: float) -> None:
        """Wait while a payer's event is worked on, but not for ever: for work beside the pipeline that can wait."""
        await self._lanes.calm(PATIENCE_SECONDS)

    async def run(self) -> None:
        """Work until `stop`, or until cancelled."""
        work = {"pipeline-poll": self._poll, "pipeline-claims": self._renew, **self._lanes.jobs()}
        tasks = [
            asyncio.create_task(supervise(name, job, self._on_crash, SPREAD), name=name) for name, job in work.items()
        ]
        try:
            await self._stopping.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self, within: float) -> None:
        """Take nothing new, finish what is being worked on within so many seconds, leave the rest to others."""
        self._lanes.close()
        try:
            async with asyncio.timeout(within):
                while self._lanes.busy:  # noqa: ASYNC110 - a shutdown may look a hundred times a second
                    await asyncio.sleep(0.01)
        except TimeoutError:
            _log.warning("pipeline stops with work unfinished objects=%d", self._lanes.busy)
        self._stopping.set()
        try:
            await self._pending.release()
        except DATABASE_FAULTS as error:
            _log.info("claims are left to expire error=%s", type(error).__name__)

    async def _poll(self) -> None:
        backoff, outage = pauses(), Outage("Postgres, for pending events")
        while True:
            pause = jittered(POLL_SECONDS)
            try:
                room = _CLAIMED_AHEAD - self._lanes.waiting
                claimed = await self._pending.claim(room) if room > 0 else []
            except DATABASE_FAULTS as error:
                outage.failed(error)
                pause = backoff.wait()
            else:
                outage.worked()
                backoff.reset()
                for object_id in claimed:
                    self.hand(object_id)
            await asyncio.sleep(pause)

    async def _renew(self) -> None:
        """Keep the claims on what waits for a fetch: else another writer fetches the same."""
        while True:
            await asyncio.sleep(self._pending.claimed_for / _RENEWALS)
            try:
                if fetching := self._lanes.fetching:
                    await self._pending.renew(fetching)
            except DATABASE_FAULTS as error:
                _log.debug("claims not renewed error=%s", type(error).__name__)

    async def process(self, object_id: str) -> None:
        """Apply what waits for one object; a failure is recorded on its events and ends here."""
        try:
            newest = await self._pending.newest(object_id)
            if newest is not None:
                facts = {"type": newest.type, "event_id": newest.id}
                with followed(newest.trail), tracing.span("event", Kind.CONSUMER, **facts):
                    await self._attempt(object_id, newest)
        except DATABASE_FAULTS as error:
            # The events stay claimed a moment longer, and are then due again, here or elsewhere.
            _log.warning("events left to their claim object=%s error=%s", object_id, type(error).__name__)

    async def _attempt(self, object_id: str, newest: Newest) -> None:
        try:
            result = await self._apply(object_id, newest)
        except FetchNeededError:
            if not self._lanes.fetch(object_id):
                await self._pending.postpone(object_id, newest, jittered(LATER_SECONDS))
        except (ShapeError, StripeRefusedError, DocumentTooLargeError) as error:
            await self._give_up(object_id, newest, error)
        except StripeUnavailableError as error:
            await self._put_off(object_id, newest, error, self._outage, error.retry_after)
        except ObjectMovingError as error:
            await self._put_off(object_id, newest, error, self._outage)
        except _BUGS_OF_OURS as error:
            _log.exception("event failed type=%s event_id=%s", newest.type, newest.id)
            await self._put_off(object_id, newest, error, self._surprise)
        except DATABASE_FAULTS as error:
            await self._put_off(object_id, newest, error, self._outage)
        except Exception as error:
            _log.exception("event failed type=%s event_id=%s", newest.type, newest.id)
            await self._put_off(object_id, newest, error, self._surprise)
        else:
            self._report(newest, result)

    async def _apply(self, object_id: str, newest: Newest) -> Result:
        event = parse_event(orjson.loads(newest.payload))
        if event.payload is None or event.kind is ObjectKind.CHARGE or newest.tied or newest.replayed:
            allow_or_raise()  # it certainly has to be fetched, so nothing need be begun here

        async def record(connection: AsyncConnection, result: Result) -> None:
            await settle(connection, object_id, newest, result.outcome.value, result.reason, fetched=result.fetched)

        cause = Cause(event.id, newest.received_at)
        return await self._applier.apply_event(
            event, cause, record, held=newest.held, doubtful=newest.tied, replayed=newest.replayed
        )

    async def _give_up(self, object_id: str, newest: Newest, error: Exception) -> None:
        await self._pending.park(newest.id, str(error))
        self._settled.labels(newest.type, "parked").inc()
        _log.error("event parked type=%s event_id=%s reason=%r", newest.type, newest.id, str(error))
        self._lanes.again(object_id)  # an older event of the object may be readable

    async def _put_off(
        self, object_id: str, newest: Newest, error: Exception, plan: Schedule, asked: float | None = None
    ) -> None:
        reason = _reason(error)
        failures = newest.attempts + 1
        if plan.is_last(failures):
            await self._pending.park_all(object_id, newest, reason)
            self._settled.labels(newest.type, "parked").inc()
            _log.error("event parked type=%s event_id=%s tries=%d reason=%r", newest.type, newest.id, failures, reason)
            return
        pause = plan.pause(failures, asked)
        await self._pending.put_off(object_id, newest, pause, reason)
        self._retries.inc()
        _log.warning(
            "event put off type=%s event_id=%s tries=%d seconds=%.1f reason=%r",
            newest.type, newest.id, failures, pause, reason,
        )  # fmt: skip

    def _report(self, newest: Newest, result: Result) -> None:
        self._settled.labels(newest.type, result.outcome.value).inc()
        if result.outcome is Outcome.APPLIED:
            self._seconds.observe(max(0.0, (self._clock.now() - newest.received_at) / SECOND))
        words = "event %s type=%s event_id=%s fetched=%s revisions=%d"
        fetched = "yes" if result.fetched else "no"
        facts = (result.outcome.value, newest.type, newest.id, fetched, len(result.revisions))
        if result.reason is None:
            _log.info(words, *facts)
        else:
            _log.info(f"{words} reason=%r", *facts, result.reason)

    def _metrics(self, registry: CollectorRegistry) -> None:
        self._settled = Counter(
            "billing_pipeline_events", "Newest events of an object, by type and outcome", ["type", "outcome"],
            registry=registry,
        )  # fmt: skip
        self._retries = Counter("billing_pipeline_retries", "Objects put off after a failure", registry=registry)
        self._seconds = Histogram(
            "billing_pipeline_seconds", "From an event's receipt until it was applied", registry=registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 300),
        )  # fmt: skip
        waiting = Gauge("billing_pipeline_waiting", "Objects that wait for a worker in this process", registry=registry)
        waiting.set_function(lambda: self._lanes.waiting)
        fetching = Gauge("billing_pipeline_fetching", "Objects that wait for Stripe in this process", registry=registry)
        fetching.set_function(lambda: len(self._lanes.fetching))


def _reason(error: Exception) -> str:
    # A driver's text may hold the statement's values, which are customers'.
    return f"{type(error).__name__}" if isinstance(error, DATABASE_FAULTS) else f"{type(error).__name__}: {error}"
