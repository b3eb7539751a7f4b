"""A clock that differs from the writer's."""

from pathlib import Path

import pytest

from common.clock import SECOND, Instant, SystemClock
from tests.support.history import History
from tests.support.publisher import Publisher
from tests.support.restarts import sidecar, status
from tests.support.sidecars import until


async def test_clocks_that_differ_are_told(
    redis_url: str, publisher: Publisher, history: History, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once in the log, in the status and as a metric; the answers go on."""
    async with sidecar(tmp_path, redis_url) as one:
        await until(lambda: one.project.replica.synced)
        for _ in range(8):
            await publisher.heartbeat(history.heartbeat(Instant(SystemClock().now() - 10 * SECOND)))
        await until(lambda: one.project.freshness.clocks_differ)
        assert (await status(one))["clocks_differ"]
        assert await one.metric("sidecar_clock_difference_seconds") >= 10
        assert (await one.check("ann"))["allowed"]
    assert caplog.text.count("verdict=differ") == 1
