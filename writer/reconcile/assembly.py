"""Puts a worker together: for the writer, for `billing reconcile`, and for whoever walks the same lists otherwise."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import Clock
from writer.apply.applier import Applier
from writer.catalogue.mirror import StripeMirror
from writer.db.transaction import Transactions
from writer.gateway.stripe_gateway import StripeGateway
from writer.gateway.stripe_lists import StripeLists
from writer.gateway.transport import StripeTransport
from writer.recompute import Recompute
from writer.reconcile.abreast import Abreast, Pause, rest
from writer.reconcile.metrics import ReconcileMetrics
from writer.reconcile.reconciler import Reconciler
from writer.reconcile.repair import Repair
from writer.reconcile.walk import Walk
from writer.reconcile.worker import Worker
from writer.wakeup import Wakeup


@dataclass(frozen=True, slots=True)
class Station:
    """What a worker stands on: the database, Stripe, and who it is."""

    engine: AsyncEngine
    transactions: Transactions
    transport: StripeTransport
    applier: Applier
    relay: Wakeup
    registry: CollectorRegistry
    instance: str
    """Its name in claims: no other process may have it."""
    livemode: bool
    pause: Pause = rest
    """Where a run lets others go first."""


def worker(station: Station, wakeup: Wakeup) -> Worker:
    """A worker on runs of any kind."""
    metrics = ReconcileMetrics(station.registry)
    walk = Walk(station.engine, StripeLists(station.transport))
    gateway = StripeGateway(station.transport)
    repair = Repair(station.transactions, station.applier, gateway, walk, metrics)
    reconciler = Reconciler(
        station.engine,
        station.transactions,
        walk,
        repair,
        station.applier.assignment,
        station.relay,
        Abreast(station.pause),
        livemode=station.livemode,
    )
    return Worker(station.transactions, reconciler, metrics, instance=station.instance, wakeup=wakeup)


def standalone(
    engine: AsyncEngine,
    transactions: Transactions,
    recompute: Recompute,
    clock: Clock,
    transport: StripeTransport,
    *,
    instance: str,
    livemode: bool,
) -> Station:
    """A station beside a running writer, or without one: whose relay finds what was committed by its poll."""
    relay, registry = Wakeup(), CollectorRegistry()
    mirror = StripeMirror(clock)
    applier = Applier(engine, transactions, recompute, StripeGateway(transport), mirror, relay, registry)
    return Station(engine, transactions, transport, applier, relay, registry, instance, livemode)
