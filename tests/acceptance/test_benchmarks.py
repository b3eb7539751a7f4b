"""The benchmarks run, on numbers too small to say anything, and end with the figures that the report shows."""

from pathlib import Path

import pytest

from benchmarks import backlog, check, latency, starts
from benchmarks.tools import NGINX, WRK
from sandbox.stack import Stack, StackConfig

pytestmark = pytest.mark.timeout(120)


async def test_latency_and_backlog_are_measured_on_a_stack_of_their_own(tmp_path: Path) -> None:
    """Every change is seen, every event applied, and nothing fetched."""
    async with Stack(StackConfig(tmp_path / "logs")) as stack:
        fast = await latency.measure(stack, latency.Size(at_rest=2, streamed=3))
        piled = await backlog.measure(stack, backlog.Size(subscriptions=3))
    seen = {figure.what: figure.measured for figure in (*fast.figures, *piled.figures)}
    assert (seen["at rest, changes seen"] or 0) >= 2
    assert seen["waiting: states applied"] == seen["waiting: revisions"] == 3
    assert seen["waiting: fetches from Stripe"] == seen["arriving in disorder: fetches from Stripe"] == 0


async def test_a_check_is_measured_beside_a_routed_handler_and_both_at_a_rate() -> None:
    """Whichever tools there are: what needs a missing one is told to be missing."""
    size = check.Size(50, (16,), rounds=1, seconds=1, paced_rounds=1, paced_seconds=0.05)
    chapter = await check.measure(size)
    full, *paced = chapter.grids
    assert [row.name for row in full.rows][1:4] == [check.ONE, check.RANDOM, check.ROUTED]
    assert all(None not in row.values for grid in paced for row in grid.rows if row.name != check.NGINX_ROW)
    assert {figure.measured is None for figure in chapter.figures[2:4]} == {WRK.find() is None}
    assert {told.partition(" ")[0] for told in chapter.missing} == {t.name for t in (NGINX, WRK) if t.find() is None}


async def test_starts_are_measured_from_each_source() -> None:
    """From Redis, from the disk alone, and from the writer's snapshot; each says that it was one."""
    figures = await starts.measure(20)
    assert {"redis_process_s", "disk_process_s", "writer_process_s"} <= figures.keys()
