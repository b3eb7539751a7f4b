"""Recompute jobs while the database is away."""

import asyncio
import logging
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from common.clock import SystemClock
from tests.support.waiting import until
from writer.catalogue.recompute_jobs import RecomputeJobs
from writer.supervision import Outage
from writer.wakeup import Wakeup


class _Away:
    """Transactions of a database that refuses three times and then has no job."""

    def __init__(self) -> None:
        self.calls = 0

    async def run(self, _: Any) -> None:
        self.calls += 1
        if self.calls <= 3:
            raise ConnectionRefusedError(111, "Connection refused")


async def test_an_outage_is_told_once_and_waited_out(caplog: pytest.LogCaptureFixture) -> None:
    """Not a crash with a trace for each try: a warning, then a line when the database is back."""
    away = _Away()
    jobs = RecomputeJobs(
        cast("Any", away),
        cast("Any", None),
        instance="w1",
        wakeup=Wakeup(),
        relay_wakeup=Wakeup(),
        clock=SystemClock(),
        registry=CollectorRegistry(),
    )
    with caplog.at_level(logging.INFO):
        running = asyncio.create_task(jobs.run())
        await until(lambda: "is back" in caplog.text)
        running.cancel()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_statement_and_its_parameters_stay_out_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A driver's error brings both along, over many lines; one line says what is away."""
    Outage("the database").failed(RuntimeError("it shuts down\n[SQL: SELECT 1]\n[parameters: ('ada',)]"))
    assert [record.message for record in caplog.records] == [
        "the database is away, trying again error=RuntimeError: it shuts down"
    ]
