"""Works on open runs: claimed, kept, waited for while Stripe is away, and left to others when it has to end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import SECOND
from writer.db.transaction import Transactions
from writer.gateway.errors import StripeUnavailableError
from writer.reconcile import runs, standing
from writer.reconcile.metrics import ReconcileMetrics
from writer.reconcile.reconciler import Reconciler
from writer.reconcile.runs import CLAIM_SECONDS, ClaimLostError, Run, RunId
from writer.reconcile.stages import RunKind
from writer.schedule import Schedule
from writer.supervision import DATABASE_FAULTS, Outage, is_waited_out, jittered, work_off
from writer.wakeup import Wakeup

_log = logging.getLogger(__name__)

_POLL_SECONDS: Final = 5.0
_RELEASE_SECONDS: Final = 2.0
_WAITING_FOR_STRIPE: Final = Schedule(first=1.0, longest=60.0, tries=0)
"""A run is never given up: it waits as long as Stripe is away."""

Told = Callable[[Run], None]
"""Hears how far the run is, after each step."""


def _nobody(_: Run) -> None:
    """Nobody listens."""


class Worker:
    """One of several workers, in writers and commands; a claim keeps two from the same run."""

    def __init__(
        self,
        transactions: Transactions,
        reconciler: Reconciler,
        metrics: ReconcileMetrics,
        *,
        instance: str,
        wakeup: Wakeup,
        schedule: Schedule = _WAITING_FOR_STRIPE,
    ) -> None:
        self._transactions = transactions
        self._reconciler = reconciler
        self._metrics = metrics
        self._instance = instance
        self._wakeup = wakeup
        self._schedule = schedule
        self._outage = Outage("the database (reconcile)")

    async def run(self) -> None:
        """Work on reconcile runs as they come, until cancelled; an outage of the database is waited out."""
        await work_off(self._next_one, self._wait_after, self._outage)

    async def _next_one(self) -> Run | None:
        worked = await self.work_on(RunKind.RECONCILE)
        await self._look()
        return worked

    async def _wait_after(self, worked: Run | None) -> None:
        if worked is None:
            await self._wakeup.wait(jittered(_POLL_SECONDS))

    async def work_on(self, kind: RunKind, run_id: RunId | None = None, told: Told = _nobody) -> Run | None:
        """Claim a run that is due and work on it until it is done or has to wait; None: there is none to claim.

        Cancelled, it leaves the run to whoever comes.
        """

        async def take(connection: AsyncConnection) -> Run | None:
            return await runs.claim(connection, self._instance, kind, run_id)

        run = await self._transactions.run(take)
        if run is None:
            return None
        told(run)
        async with self._kept(run):
            try:
                return await self._work(run, told)
            except ClaimLostError:
                _log.warning("reconcile run=%d was taken over by another worker", run.id)
                return run

    async def _work(self, run: Run, told: Told) -> Run:
        if run.attempts == 0:
            _log.info("reconcile run=%d cause=%s goes on at stage=%s", run.id, run.cause, run.stage.value)
        try:
            while run.finished_at is None:
                run = await self._reconciler.step(run)
                told(run)
                await asyncio.sleep(0)  # payers' work has its turn
        except StripeUnavailableError as error:
            return await self._put_off(run, str(error), error.retry_after)
        except ClaimLostError:
            raise
        except Exception as error:
            if isinstance(error, DATABASE_FAULTS) and is_waited_out(error):
                raise
            _log.exception("reconcile failed run=%d stage=%s", run.id, run.stage.value)
            return await self._put_off(run, f"{type(error).__name__} at {run.stage.value}; the log says more", None)
        _log.info(
            "reconcile finished run=%d cause=%s seconds=%d %s", run.id, run.cause,
            (run.finished_at - run.created_at) // SECOND, " ".join(f"{k}={v}" for k, v in run.counts.named().items()),
        )  # fmt: skip
        return run

    async def _put_off(self, run: Run, reason: str, asked: float | None) -> Run:
        pause = self._schedule.pause(run.attempts + 1, asked)
        _log.warning("reconcile waits run=%d seconds=%.1f reason=%r", run.id, pause, reason)
        return await self._transactions.run(lambda connection: runs.put_off(connection, run, pause, reason))

    @asynccontextmanager
    async def _kept(self, run: Run) -> AsyncIterator[None]:
        """Keep the claim however long a step takes; give it back in any case."""
        keeping = asyncio.create_task(self._keep(run), name=f"reconcile-claim-{run.id}")
        try:
            yield
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping
            with suppress(TimeoutError, *DATABASE_FAULTS):
                async with asyncio.timeout(_RELEASE_SECONDS):
                    await self._transactions.run(lambda connection: runs.release(connection, run))

    async def _keep(self, run: Run) -> None:
        while True:
            await asyncio.sleep(CLAIM_SECONDS / 4)
            try:
                await self._transactions.run(lambda connection: runs.renew(connection, run))
            except ClaimLostError:
                return  # the next step finds it out
            except DATABASE_FAULTS as error:
                _log.info("reconcile claim was not renewed run=%d error=%s", run.id, type(error).__name__)

    async def _look(self) -> None:
        self._metrics.stands(await self._transactions.run(standing.read))
