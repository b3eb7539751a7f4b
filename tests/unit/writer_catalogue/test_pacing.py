"""How recompute jobs leave the machine to those who pay meanwhile."""

import asyncio
from typing import Any, cast

from prometheus_client import CollectorRegistry

from common.clock import SystemClock
from tests.support.waiting import until
from writer.catalogue.recompute_jobs import RecomputeJobs
from writer.wakeup import Wakeup


class _Endless(RecomputeJobs):
    """A job that always has another chunk."""

    steps = 0

    async def step(self) -> bool:
        """Count it."""
        self.steps += 1
        return True


async def test_payers_go_first_after_every_chunk() -> None:
    """No chunk begins while a payer's event is worked on; once that is done, the next one does."""
    paying, asked = asyncio.Event(), 0

    async def let_payers_first(_: float) -> None:
        nonlocal asked
        asked += 1
        await paying.wait()

    jobs = _Endless(
        cast("Any", None),
        cast("Any", None),
        instance="w1",
        wakeup=Wakeup(),
        relay_wakeup=Wakeup(),
        clock=SystemClock(),
        registry=CollectorRegistry(),
        let_payers_first=let_payers_first,
    )
    running = asyncio.create_task(jobs.run())
    await until(lambda: asked == 1)
    assert jobs.steps == 1
    paying.set()
    await until(lambda: jobs.steps > 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
