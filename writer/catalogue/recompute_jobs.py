"""Works off recompute jobs: many users, in small resumable transactions between which purchases pass.

What fails is looked at closer: the chunk is halved until one user is left, who is recorded and passed over. So a job
ends, and says how many it could not compute.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Clock
from writer.catalogue import job_queue, placement, store
from writer.catalogue.job_queue import Job
from writer.db.transaction import CatalogueMovedError, LineageMovedError, Transactions
from writer.outbox import Cause
from writer.recompute import Recompute, lock_user_refs
from writer.refusals import RefusedError
from writer.schedule import Schedule
from writer.supervision import DATABASE_FAULTS, Outage, is_waited_out, work_off
from writer.wakeup import Wakeup

_log = logging.getLogger(__name__)

CHUNK: Final = 15
"""Users a transaction: for as long as they take, a payer who came meanwhile waits for the processor and the project.

Fewer would spend most of the time on what every transaction costs."""

_POLL_SECONDS: Final = 1.0
_SOON_SECONDS: Final = 0.05
"""Between looks just after some work: a job may wait for the relay only."""

_SMALLEST: Final = CHUNK.bit_length() - 1
"""So many times halved, a chunk is one user."""

FAILED: Final = Schedule(first=0.1, longest=5.0, tries=_SMALLEST)

Pause = Callable[[float], Awaitable[None]]
"""Waits while others go first, after so many seconds of work."""


async def _nobody_pays(_: float) -> None:
    """Where no pipeline runs beside the jobs."""


class RecomputeJobs:
    """One of several workers; a claim keeps two from the same job, and one that died is taken over."""

    def __init__(
        self,
        transactions: Transactions,
        recompute: Recompute,
        *,
        instance: str,
        wakeup: Wakeup,
        relay_wakeup: Wakeup,
        clock: Clock,
        registry: CollectorRegistry,
        schedule: Schedule = FAILED,
        let_payers_first: Pause = _nobody_pays,
    ) -> None:
        self._transactions = transactions
        self._recompute = recompute
        self._instance = instance
        self._wakeup = wakeup
        self._relay_wakeup = relay_wakeup
        self._clock = clock
        self._schedule = schedule
        self._let_payers_first = let_payers_first
        self._outage = Outage("the database (recompute jobs)")
        self._failures = Counter(
            "billing_recompute_failures", "Chunks of recompute jobs that failed", ["project"], registry=registry
        )
        self._skipped = Counter(
            "billing_recompute_users_failed", "Users whom a job could not compute", ["project"], registry=registry
        )

    async def run(self) -> None:
        """Work off what there is, and wait for more, until cancelled; an outage of the database is waited out."""
        worked_at = -_POLL_SECONDS

        async def timed() -> float | None:
            began = self._clock.monotonic()
            return self._clock.monotonic() - began if await self.step() else None

        async def rest(worked: float | None) -> None:
            nonlocal worked_at
            now = self._clock.monotonic()
            if worked is None:
                await self._wakeup.wait(_SOON_SECONDS if now - worked_at < _POLL_SECONDS else _POLL_SECONDS)
            else:
                worked_at = now
                # It rests for as long as it worked: payers have the machine for at least half of the time.
                await asyncio.sleep(worked)
                await self._let_payers_first(worked)

        await work_off(timed, rest, self._outage)

    async def step(self) -> bool:
        """One chunk of a job that is free; False where there was none, or where they wait for the relay."""
        job = await self._transactions.run(lambda connection: job_queue.claim(connection, self._instance))
        if job is None:
            return False
        try:
            revisions = await self._transactions.run(lambda connection: self._advance(connection, job))
        except (CatalogueMovedError, LineageMovedError) as error:
            await self._put_off(job, error)
        except DATABASE_FAULTS as error:
            await (self._put_off(job, error) if is_waited_out(error) else self._look_closer(job, error))
        except Exception as error:
            await self._look_closer(job, error)
        else:
            if revisions:
                self._relay_wakeup.notify()
        return True

    async def _advance(self, connection: AsyncConnection, job: Job) -> int:
        if job.total is None:
            await job_queue.count(connection, job)
        chunk = await job_queue.next_chunk(connection, job, _size(job))
        if not chunk.refs and chunk.is_last:
            await self._finish(connection, job)
            return 1
        revisions = 0
        if chunk.refs:
            await lock_user_refs(connection, chunk.refs)
            revisions = len(await self._recompute.users(connection, chunk.refs, Cause(job.cause)))
        await job_queue.move(connection, job, self._instance, chunk)
        return revisions

    async def _finish(self, connection: AsyncConnection, job: Job) -> None:
        await placement.begin(connection)
        if await job_queue.finish(connection, job, self._instance):
            await store.let_go(connection, job.project_id, self._clock.now())
            _log.info(
                "recompute job finished project=%s id=%d cause=%s users=%d failed=%d",
                job.project, job.id, job.cause, job.done, job.failed,
            )  # fmt: skip

    async def _put_off(self, job: Job, error: BaseException) -> None:
        """The database's moment was not right; nothing is wrong with the users."""
        pause = self._schedule.pause(1)
        await self._transactions.run(lambda connection: job_queue.put_off(connection, job, pause, _words(error)))

    async def _look_closer(self, job: Job, error: Exception) -> None:
        """Something about one of the users, or of the program, is wrong: halve the chunk, at last leave the one out."""
        self._failures.labels(job.project).inc()
        reason = _words(error)
        _log.warning(
            "recompute failed project=%s job=%d users=%d error=%s", job.project, job.id, _size(job), reason,
            exc_info=None if isinstance(error, RefusedError) else error,
        )  # fmt: skip
        if self._schedule.is_last(job.attempts) and await self._skipped_one(job, reason):
            return
        pause = self._schedule.pause(job.attempts + 1)
        await self._transactions.run(lambda c: job_queue.put_off(c, job, pause, reason, smaller=True))

    async def _skipped_one(self, job: Job, reason: str) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            chunk = await job_queue.next_chunk(connection, job, 1)
            for ref in chunk.refs:
                await job_queue.skip(connection, job, self._instance, ref, reason)
            return bool(chunk.refs)

        found = await self._transactions.run(work)
        if found:
            self._skipped.labels(job.project).inc()
            _log.error("user left out of recompute job project=%s job=%d error=%s", job.project, job.id, reason)
        return found


def _size(job: Job) -> int:
    return max(1, CHUNK >> job.attempts)


def _words(error: BaseException) -> str:
    # A driver's text may hold the statement's values, which are customers'.
    if isinstance(error, DATABASE_FAULTS):
        return f"{type(error).__name__} {getattr(getattr(error, 'orig', error), 'sqlstate', None) or ''}".strip()
    return f"{type(error).__name__}: {error}"
