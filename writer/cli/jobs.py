"""Waiting for recompute jobs, with a bar; and working on them where no writer does."""

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from writer.operations.jobs import JobProgress
from writer.operations.operations import Operations

_LOOK_SECONDS: Final = 0.2


async def wait(operations: Operations, names: Sequence[str]) -> Sequence[JobProgress]:
    """Wait until all unfinished jobs of these projects are finished. Without a running writer this works them off."""
    ids = await operations.jobs.unfinished(names)
    worker = operations.jobs.worker(f"billing:{os.getpid()}")
    with _bars() as bars:
        shown = {one.id: bars.add_task(one.project, total=None) for one in await operations.jobs.progress(ids)}
        while True:
            jobs = await operations.jobs.progress(ids)
            for job in jobs:
                bars.update(shown[job.id], completed=job.done + job.failed, total=job.total)
            if all(job.is_finished for job in jobs):
                return jobs
            if await operations.jobs.is_a_writer_running() or not await worker.step():
                await asyncio.sleep(_LOOK_SECONDS)


def _bars() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True)
