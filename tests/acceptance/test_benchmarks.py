"""The benchmarks run, on numbers too small to say anything, and end with the figures that the report shows."""

from pathlib import Path

import pytest

from benchmarks import backlog, latency
from benchmarks.figures import Chapter, Figure, table
from sandbox.stack import Stack, StackConfig

pytestmark = pytest.mark.timeout(120)


async def test_latency_and_backlog_are_measured_on_a_stack_of_their_own(tmp_path: Path) -> None:
    """Every change is seen, every event applied, and nothing fetched."""
    async with Stack(StackConfig(tmp_path / "logs")) as stack:
        fast = await latency.measure(stack, latency.Size(at_rest=2, streamed=3))
        piled = await backlog.measure(stack, backlog.Size(subscriptions=3))
    seen = {figure.what: figure.measured for figure in (*fast.figures, *piled.figures)}
    assert seen["at rest, changes seen"] >= 2
    assert seen["waiting: states applied"] == seen["waiting: revisions"] == 3
    assert seen["waiting: fetches from Stripe"] == seen["arriving in disorder: fetches from Stripe"] == 0


def test_a_report_says_which_targets_are_met() -> None:
    """A figure without a target has no verdict."""
    figures = [Figure("fast", 9.5, "ms", 10), Figure("slow", 1_234, "ms", 10), Figure("many", 3)]
    assert table([Chapter("Speed", "Tried once.", figures)]).splitlines()[4:] == [
        "| | target | measured | |",
        "|---|---|---|---|",
        "| fast | 10 ms | 9.5 ms | met |",
        "| slow | 10 ms | 1,234 ms | missed |",
        "| many |  | 3 |  |",
    ]
