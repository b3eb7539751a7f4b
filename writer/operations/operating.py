"""Operations beside a running writer, or without one: for the command line and the operator's shell.

Nobody is woken after a commit: a writer's relay finds it by its poll, a moment later.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import Clock, SystemClock
from writer.db.engine import create_engine
from writer.db.transaction import Transactions
from writer.lineage import LineageKeeper
from writer.operations.operations import Operations
from writer.recompute import Recompute
from writer.relay.metrics import RelayMetrics
from writer.settings import OperatorSettings


@dataclass(frozen=True, slots=True)
class Ground:
    """What a command that works beside a writer stands on."""

    engine: AsyncEngine
    transactions: Transactions
    recompute: Recompute
    clock: Clock

    def operations(self) -> Operations:
        """What operators do, on this ground."""
        return Operations(self.engine, self.transactions, self.recompute, self.clock, on_commit=_nobody)


@asynccontextmanager
async def grounded(settings: OperatorSettings, *, application_name: str) -> AsyncIterator[Ground]:
    """An engine of one's own and what belongs to it, closed at the end."""
    engine = create_engine(settings.database, application_name=application_name)
    clock = SystemClock()
    lineage = LineageKeeper(engine, RelayMetrics(CollectorRegistry()), _nobody, clock)
    try:
        yield Ground(engine, Transactions(engine, lineage), Recompute(settings.grace, clock), clock)
    finally:
        await engine.dispose()


@asynccontextmanager
async def operating(settings: OperatorSettings, *, application_name: str) -> AsyncIterator[Operations]:
    """Operations on an engine of their own, which is closed at the end."""
    async with grounded(settings, application_name=application_name) as ground:
        yield ground.operations()


def _nobody() -> None:
    pass
