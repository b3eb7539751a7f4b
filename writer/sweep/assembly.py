"""The sweep put together, for the composition root."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import Clock
from writer.db.transaction import Transactions
from writer.gateway.stripe_events import StripeEvents
from writer.gateway.transport import StripeTransport
from writer.intake import Intake
from writer.settings import StripeSettings
from writer.sweep.cursor import Cursor
from writer.sweep.metrics import SweepMetrics
from writer.sweep.reader import EventReader
from writer.sweep.sweep import Sweep, pace


@dataclass(frozen=True, slots=True)
class Station:
    """What a writer's sweep stands on. `owner` is its name in the lease: no two processes share one."""

    engine: AsyncEngine
    transactions: Transactions
    clock: Clock
    registry: CollectorRegistry
    owner: str


def sweep(station: Station, transport: StripeTransport, intake: Intake, settings: StripeSettings) -> Sweep:
    """One writer's sweep; with STRIPE_POLL set it stands in for webhooks."""
    chosen = pace(settings.poll, settings.sweep_every)
    metrics = SweepMetrics(station.registry, station.clock)
    events = StripeEvents(transport)
    reader = EventReader(events, station.engine, intake, metrics, origin=chosen.origin, youngest=chosen.youngest)
    cursor = Cursor(station.engine, station.owner)
    return Sweep(reader, cursor, station.transactions, station.clock, metrics, chosen)
