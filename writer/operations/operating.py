"""Operations beside a running writer, or without one: for the command line and the operator's shell.

Nobody is woken after a commit: a writer's relay finds it by its poll, a moment later.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from common.clock import SystemClock
from writer.db.engine import create_engine
from writer.db.transaction import Transactions
from writer.lineage import LineageKeeper
from writer.operations.operations import Operations
from writer.recompute import Recompute
from writer.relay.metrics import RelayMetrics
from writer.settings import OperatorSettings


@asynccontextmanager
async def operating(settings: OperatorSettings, *, application_name: str) -> AsyncIterator[Operations]:
    """Operations on an engine of their own, which is closed at the end."""
    engine = create_engine(settings.database, application_name=application_name)
    clock = SystemClock()
    lineage = LineageKeeper(engine, RelayMetrics(CollectorRegistry()), on_rise=_nobody)
    try:
        yield Operations(
            engine, Transactions(engine, lineage), Recompute(settings.grace, clock), clock, on_commit=_nobody
        )
    finally:
        await engine.dispose()


def _nobody() -> None:
    pass
