"""The composition root: the one place that names the parts and puts them together."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from uuid import uuid4

from aiohttp import web
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from common.background import Tasks
from common.clock import Clock, SystemClock
from common.http import middleware
from common.listening import listening
from common.redis_nodes import Nodes
from writer import sequences
from writer.admin.assembly import operators_routes
from writer.admin.log_level import LogLevelRoutes
from writer.admin.reconcile import ReconcileRoutes
from writer.api.pages import Description
from writer.api.replies import REPLIES, Replies
from writer.apply.applier import Applier
from writer.auth import Authenticator
from writer.cache.link import UrlConnector
from writer.cache.trace import RedisTrace
from writer.catalogue.mirror import StripeMirror
from writer.catalogue.recompute_jobs import RecomputeJobs
from writer.changes import ChangesHandler
from writer.checkout.checkout import Checkout
from writer.checkout.confirm import Confirm
from writer.checkout.customers import Customers
from writer.checkout.portal import Portal
from writer.checkout.price_check import PriceCheck
from writer.checkout.routes import CheckoutRoutes
from writer.checkout.subscriptions import Subscriptions
from writer.compression import compression
from writer.console.assembly import Desk, console
from writer.console.pages import PREFIX
from writer.db.engine import create_engine, create_read_engine
from writer.db.readings import Readings
from writer.db.transaction import Transactions
from writer.figures import FigureRoutes
from writer.gateway.metrics import StripeMetrics
from writer.gateway.rate_limit import Urgency
from writer.gateway.shared_rate_limit import SharedLimiter
from writer.gateway.stripe_gateway import StripeGateway
from writer.gateway.transport import StripeTransport
from writer.health import Health
from writer.inbox import Inbox
from writer.intake import Intake
from writer.lineage import LineageKeeper
from writer.operations.claims import Claims
from writer.operations.operations import Operations
from writer.pending import PendingEvents
from writer.pipeline import Pipeline
from writer.proxies import behind
from writer.reads import Reads
from writer.recompute import Recompute
from writer.reconcile.assembly import Station, worker
from writer.reconcile.nightly import Nightly
from writer.reconcile.requests import ReconcileRequests
from writer.relay.backlog import Backlog
from writer.relay.equipment import recomputing
from writer.relay.heads import Heads
from writer.relay.metrics import RelayMetrics
from writer.relay.presence import Presences
from writer.relay.project_snapshot import ProjectSnapshots
from writer.relay.station import RelaySettings, RelayStation
from writer.retention import Retention
from writer.settings import Settings
from writer.snapshot import SnapshotHandler
from writer.supervision import DATABASE_FAULTS, SPREAD
from writer.sweep import assembly as sweeping
from writer.telemetry import assembly as telemetry
from writer.telemetry.log_levels import FollowedLevels
from writer.unavailable import database_problems
from writer.wakeup import Wakeup
from writer.webhook import Signer, Webhook

_log = logging.getLogger(__name__)

_DRAIN_SECONDS = 5.0
_LAST_WORDS_SECONDS = 3.0  # leases are given back in them


@dataclass(frozen=True, slots=True)
class _Core:
    """What most parts need."""

    settings: Settings
    clock: Clock
    registry: CollectorRegistry
    engine: AsyncEngine
    readings: Readings
    redis: Nodes
    """For what is of no consequence: it keeps off the connection that publishes."""
    relay: Wakeup
    relay_metrics: RelayMetrics
    lineage: LineageKeeper
    transactions: Transactions
    recompute: Recompute
    auth: Authenticator
    operations: Operations
    jobs: Wakeup


@dataclass(frozen=True, slots=True)
class _Stripe:
    """Stripe for those who wait for an answer, and for work that can wait; and what applies its objects."""

    interactive: StripeGateway
    applier: Applier
    transport: StripeTransport


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[str]:
    """Build a writer and serve; gives the bound address. It is taken down in reverse order, also when half built."""
    # Claims and leases are this process's: two that share a name, or one started again, are not the same.
    settings = replace(settings, instance=f"{settings.instance}:{uuid4().hex[:8]}")
    async with AsyncExitStack() as stack:
        core = _core(settings, stack)
        await _look_at_the_database(core)
        stripe = await _stripe(core, stack)
        background = Tasks(core.relay_metrics.crashed, SPREAD, _LAST_WORDS_SECONDS)
        stack.push_async_callback(background.stop)
        heads = Heads(core.engine, core.relay)
        presences = _relay(core, heads, background)
        changes = ChangesHandler(Backlog(core.engine), heads, core.lineage, core.auth, core.clock)
        app = web.Application(middlewares=[*behind(settings.proxies), compression, middleware, database_problems])
        app[REPLIES] = Replies(core.engine)
        pipeline = _pipeline(core, stripe, background, stack)
        claims, reconcile = _claims(core, stripe), _reconcile(core, stripe, pipeline, background)
        app.add_routes(
            [
                *Health(core.engine, core.registry).routes(),
                *_ingest(core, stripe, pipeline, background).routes(),
                *_checkout(core, stripe).routes(),
                *Reads(core.engine, core.auth, core.clock).routes(),
                *FigureRoutes(core.auth, core.operations, core.clock).routes(),
                *SnapshotHandler(ProjectSnapshots(core.engine), core.auth).routes(),
                *changes.routes(),
                *_admin(core, claims, presences),
                *ReconcileRoutes(core.auth, reconcile).routes(),
                *Description(app).routes(),
            ]
        )
        desk = (core.auth, settings.admin_keys, core.operations, claims, presences, reconcile, core.clock)
        app.add_subapp(PREFIX, console(Desk(*desk)))
        observed = telemetry.Observed(core.registry, core.engine, core.readings, core.auth, core.recompute)
        telemetry.observe(observed, app, core.redis, background)
        background.start("log levels", FollowedLevels(core.operations.log_levels).run)
        background.start("recompute jobs", _jobs(core, pipeline).run)
        background.start("use of keys", core.auth.run)
        background.start("retention", Retention(core.engine, settings.retention, core.clock, core.registry).run)
        address = await stack.enter_async_context(listening(app, settings.listen))
        stack.callback(changes.end)
        _log.info("writer listening address=%s instance=%s", address, settings.instance)
        yield address


def _core(settings: Settings, stack: AsyncExitStack) -> _Core:
    clock, registry, relay, jobs = SystemClock(), CollectorRegistry(), Wakeup(), Wakeup()
    engine = create_engine(settings.database)
    stack.push_async_callback(engine.dispose)
    replica = create_read_engine(settings.database)
    if replica is not None:
        stack.push_async_callback(replica.dispose)
    readings = Readings(engine, replica)
    redis = UrlConnector(settings.redis_url).nodes(1)
    stack.push_async_callback(redis.aclose)
    relay_metrics = RelayMetrics(registry)
    lineage = LineageKeeper(engine, relay_metrics, relay.notify, clock)
    transactions = Transactions(engine, lineage)
    recompute = Recompute(settings.grace, clock)

    def committed() -> None:
        relay.notify()
        jobs.notify()

    return _Core(
        settings=settings,
        clock=clock,
        registry=registry,
        engine=engine,
        readings=readings,
        redis=redis,
        relay=relay,
        relay_metrics=relay_metrics,
        lineage=lineage,
        transactions=transactions,
        recompute=recompute,
        auth=Authenticator(engine, settings.admin_keys, clock, registry),
        operations=Operations(engine, transactions, recompute, clock, committed, readings),
        jobs=jobs,
    )


async def _look_at_the_database(core: _Core) -> None:
    """Before anything can be given a revision: is this the database that the epochs began in?"""
    try:
        await core.lineage.check()
        await sequences.set_forward(core.engine)
    except DATABASE_FAULTS as error:
        # The writer starts all the same and is not ready; the relay goes on asking once a second.
        _log.warning("the database is away at the start error=%s", type(error).__name__)


def _relay(core: _Core, heads: Heads, background: Tasks) -> Presences:
    settings = RelaySettings(UrlConnector(core.settings.redis_url), core.settings.instance, core.settings.cache_ttl)
    recompute_user = recomputing(core.transactions, core.recompute, core.relay)
    station = RelayStation(settings, core.engine, heads, core.lineage, core.clock, core.relay_metrics, recompute_user)
    background.start("relay", station.run)
    return station.presences


async def _stripe(core: _Core, stack: AsyncExitStack) -> _Stripe:
    limiter = await stack.enter_async_context(SharedLimiter(core.engine, core.settings.stripe.max_rps))
    transport = await stack.enter_async_context(StripeTransport(core.settings.stripe, limiter, core.clock))
    StripeMetrics(core.registry, transport, limiter)
    gateway, mirror = StripeGateway(transport), StripeMirror(core.clock)
    ground = (core.engine, core.transactions, core.recompute)
    applier = Applier(*ground, gateway, mirror, core.relay, core.registry)
    return _Stripe(StripeGateway(transport, Urgency.PAYER), applier, transport)


def _pipeline(core: _Core, stripe: _Stripe, background: Tasks, stack: AsyncExitStack) -> Pipeline:
    pipeline = Pipeline(
        PendingEvents(core.engine, core.settings.instance, core.settings.event_claim),
        stripe.applier,
        core.clock,
        core.registry,
        core.relay_metrics.crashed,
    )
    background.start("pipeline", pipeline.run)
    stack.push_async_callback(pipeline.stop, _DRAIN_SECONDS)
    return pipeline


def _ingest(core: _Core, stripe: _Stripe, pipeline: Pipeline, background: Tasks) -> Webhook:
    settings = core.settings
    trace = RedisTrace(core.redis, core.clock)
    background.start("webhook trace", trace.run)
    inbox, livemode = Inbox(core.engine, settings.instance, settings.event_claim), settings.stripe.livemode
    intake = Intake(inbox, pipeline, trace, livemode=livemode)
    station = sweeping.Station(core.engine, core.transactions, core.clock, core.registry, settings.instance)
    background.start("sweep", sweeping.sweep(station, stripe.transport, intake, settings.stripe).run)
    signer = Signer(settings.stripe.webhook_secrets, core.clock)
    return Webhook(signer, inbox, pipeline, trace, core.registry, livemode=livemode)


def _checkout(core: _Core, stripe: _Stripe) -> CheckoutRoutes:
    livemode = core.settings.stripe.livemode
    customers = Customers(core.transactions, stripe.interactive, livemode=livemode)
    portal = Portal(core.transactions, stripe.interactive, customers)
    prices = PriceCheck(core.transactions, stripe.interactive, livemode=livemode)
    return CheckoutRoutes(
        core.auth,
        core.transactions,
        Checkout(core.transactions, stripe.interactive, prices, customers, portal, core.clock),
        Confirm(core.transactions, stripe.interactive, stripe.applier, core.relay, core.clock),
        portal,
        Subscriptions(core.transactions, core.settings.grace),
        livemode=livemode,
    )


def _claims(core: _Core, stripe: _Stripe) -> Claims:
    ground, livemode = (core.engine, core.transactions, core.recompute), core.settings.stripe.livemode
    return Claims(*ground, stripe.applier, stripe.interactive, core.relay.notify, livemode=livemode)


def _admin(core: _Core, claims: Claims, presences: Presences) -> list[web.RouteDef]:
    return [
        *operators_routes(core.auth, core.operations, core.clock, claims, presences),
        *LogLevelRoutes(core.auth, core.operations.log_levels, core.settings.log_level).routes(),
    ]


def _reconcile(core: _Core, stripe: _Stripe, pipeline: Pipeline, background: Tasks) -> ReconcileRequests:
    settings, wakeup = core.settings, Wakeup()
    station = Station(
        core.engine, core.transactions, stripe.transport, stripe.applier, core.relay, core.registry,
        settings.instance, settings.stripe.livemode, pipeline.let_payers_first,
    )  # fmt: skip
    background.start("reconcile", worker(station, wakeup).run)
    if settings.reconcile_at is not None:
        background.start("nightly", Nightly(core.transactions, core.clock, settings.reconcile_at, wakeup).run)
    return ReconcileRequests(core.transactions, wakeup.notify)


def _jobs(core: _Core, pipeline: Pipeline) -> RecomputeJobs:
    return RecomputeJobs(
        core.transactions, core.recompute, instance=core.settings.instance, wakeup=core.jobs, relay_wakeup=core.relay,
        clock=core.clock, registry=core.registry, let_payers_first=pipeline.let_payers_first,
    )  # fmt: skip
