"""The writer's way from a signed event to a document, on a real database, with a Stripe that answers from memory."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.catalogue import Feature
from common.clock import SECOND, Instant
from common.identifiers import FeatureCode, UserId
from common.settings import Secret
from tests.support import stripe_objects as stripe
from tests.support.ledger import Untouched
from tests.support.stripe_objects import Json
from writer import outbox
from writer.apply.applier import Applier
from writer.apply.gateway import Gateway
from writer.catalogue.mirror import StripeMirror
from writer.db.engine import create_engine
from writer.db.transaction import Transactions
from writer.domain.catalogue import Definition, Origin, Plan, PlanFeature, PriceInfo
from writer.domain.stripe.event import Event, parse_event
from writer.domain.stripe.invoice import parse_invoice
from writer.gateway.stripe_gateway import Fetched
from writer.inbox import Inbox, Stored
from writer.inbox import Origin as Reached
from writer.outbox import Cause, Revision
from writer.pending import PendingEvents
from writer.pipeline import Pipeline
from writer.recompute import Recompute, UserKey, lock_users
from writer.schedule import Schedule
from writer.settings import DatabaseSettings, GraceSettings
from writer.wakeup import Wakeup

PROMPT = Schedule(first=0.001, longest=0.002, tries=3)
GRACE = GraceSettings(entitlement=259_200, trial=3_600, past_due=2_592_000)


class StoppedClock:
    """Shows the time that a test sets. Unix seconds."""

    def __init__(self, at: float = stripe.NOW) -> None:
        self.at = at

    def now(self) -> Instant:
        """The set time."""
        return Instant(round(self.at * SECOND))

    def monotonic(self) -> float:
        """The same, in seconds."""
        return self.at


@dataclass
class MemoryStripe:
    """Stripe as a dictionary: what it holds, when it says it is, what was asked of it, and how it fails."""

    clock: StoppedClock
    objects: dict[str, Json] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    fault: Exception | None = None
    gate: asyncio.Event | None = None

    def hold(self, *sources: Json) -> None:
        """Let Stripe hold these objects."""
        self.objects.update({source["id"]: source for source in sources})

    async def _retrieve(self, id: str) -> Fetched:  # noqa: A002 - Stripe's own word
        self.asked[id] += 1
        fetched = Fetched(self.objects.get(id), Instant(int(self.clock.at) * SECOND))
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return fetched

    retrieve_subscription = retrieve_session_with_lines = retrieve_invoice = retrieve_customer = _retrieve
    retrieve_refund = retrieve_dispute = retrieve_charge = retrieve_product = retrieve_price = _retrieve

    async def list_open_invoices(self, subscription: str) -> Fetched:
        """All open invoices of a subscription."""
        fetched = await self._retrieve(f"invoices of {subscription}")
        invoices = (one for one in self.objects.values() if one["object"] == "invoice" and one["status"] == "open")
        found = [one for one in invoices if parse_invoice(one).subscription_id == subscription]
        return Fetched({"object": "list", "data": found, "has_more": False}, fetched.as_of)

    async def invoice_of_payment(self, payment_intent: str) -> str | None:
        """The invoice that names the payment."""
        await self._retrieve(f"invoice of {payment_intent}")
        invoices = (one for one in self.objects.values() if one["object"] == "invoice")
        return next((one["id"] for one in invoices if parse_invoice(one).payment_intent == payment_intent), None)

    async def list_refunds(self, payment_intent: str) -> Fetched:
        """All refunds of a payment intent."""
        fetched = await self._retrieve(payment_intent)
        found = [o for o in self.objects.values() if o["object"] == "refund" and o["payment_intent"] == payment_intent]
        return Fetched({"object": "list", "data": found, "has_more": False}, fetched.as_of)


@dataclass
class Ingest:
    """One project `shop`, where price_pro grants `export` and price_life grants `archive`."""

    engine: AsyncEngine
    transactions: Transactions
    recompute: Recompute
    stripe: MemoryStripe
    clock: StoppedClock
    project_id: int
    registry: CollectorRegistry
    relay: Wakeup
    applier: Applier
    inbox: Inbox
    pending: PendingEvents
    pipeline: Pipeline

    async def receive(self, sent: Json) -> Event:
        """Commit an event to the inbox without working on it."""
        event = parse_event(sent)
        await self.inbox.store(event, stripe.body_of(sent), Reached.WEBHOOK, event.ignored(livemode=False))
        return event

    async def deliver(self, *sent: Json) -> None:
        """Receive each event and work on it at once, one after the other."""
        for one in sent:
            event = await self.receive(one)
            if event.object_id is not None:
                await self.pipeline.process(event.object_id)

    async def grant(self, user: str, feature: str) -> list[Revision]:
        """Give a user a feature by hand, the ordinary way."""

        async def work(connection: Any) -> list[Revision]:
            key = UserKey(self.project_id, UserId(user))
            refs = await lock_users(connection, [key])
            await connection.execute(_GRANT, {"ref": refs[key], "feature": feature})
            return await self.recompute.users(connection, list(refs.values()), Cause("grant:test"))

        return await self.transactions.run(work)

    async def held(self, user: str = "ada") -> dict[str, str | None]:
        """What a user's document grants: source id and feature, with its end."""
        rows = await self.query(
            "SELECT d.body FROM documents d WHERE d.project_id = :p AND d.user_id = :u", p=self.project_id, u=user
        )
        body = rows[0].body if rows else []
        return {f"{row['source_ref']} {row['feature_code']}": row["valid_to"] for row in body}

    async def statuses(self) -> dict[str, str]:
        """What became of each event."""
        return {row.id: row.status for row in await self.query("SELECT id, status FROM webhook_events")}

    async def query(self, statement: str, **parameters: Any) -> list[Any]:
        """Rows of any statement, committed."""
        async with self.engine.begin() as connection:
            result = await connection.execute(text(statement), parameters)
            return list(result) if result.returns_rows else []

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Let the pipeline run."""
        task = asyncio.create_task(self.pipeline.run())
        try:
            yield
        finally:
            await self.pipeline.stop(within=5)
            with suppress(asyncio.CancelledError):
                await task

    def another(self, instance: str, claim: float = 10, **options: Any) -> Pipeline:
        """A second writer's pipeline on the same database."""
        pending = PendingEvents(self.engine, instance, claim)
        return Pipeline(
            pending, self.applier, self.clock, CollectorRegistry(), _no_crash,
            **{"outage": PROMPT, "surprise": PROMPT, **options},
        )  # fmt: skip


@asynccontextmanager
async def opened(database_url: str, claim: float = 10, gateway: Gateway | None = None) -> AsyncIterator[Ingest]:
    """A fresh project on a fresh database; `gateway` takes the place of the Stripe in memory."""
    engine = create_engine(DatabaseSettings(Secret(database_url), None, 12, 30, 10, 30))
    clock = StoppedClock()
    transactions, recompute = Transactions(engine, Untouched()), Recompute(GRACE, clock)
    memory, registry, relay = MemoryStripe(clock), CollectorRegistry(), Wakeup()
    applier = Applier(engine, transactions, recompute, gateway or memory, StripeMirror(clock), relay, registry)
    pending = PendingEvents(engine, "writer-1", claim)
    pipeline = Pipeline(pending, applier, clock, registry, _no_crash, outage=PROMPT, surprise=PROMPT)
    async with engine.begin() as connection:
        project_id = (await connection.execute(_PROJECT)).scalar_one()
    ingest = Ingest(
        engine, transactions, recompute, memory, clock, project_id, registry, relay, applier,
        Inbox(engine, "writer-1", claim), pending, pipeline,
    )  # fmt: skip
    await _stock(ingest)
    try:
        yield ingest
    finally:
        await engine.dispose()


async def _stock(ingest: Ingest) -> None:
    """Sell two prices: what Stripe holds of them, and what they grant."""
    export, archive = FeatureCode("export"), FeatureCode("archive")
    plans = [
        Plan("price_pro", Origin.CATALOG, (PlanFeature(export),)),
        Plan("price_life", Origin.CATALOG, (PlanFeature(archive),)),
    ]
    definition = Definition(
        1,
        {export: Feature(export), archive: Feature(archive)},
        {(plan.origin, plan.target): plan for plan in plans},
        {"price_pro": PriceInfo("prod_pro"), "price_life": PriceInfo("prod_life")},
    )
    async with ingest.engine.begin() as connection:
        for statement in (_PRODUCTS, _PRICES):
            await connection.execute(statement, {"project_id": ingest.project_id})
        await outbox.append_catalogue(connection, ingest.project_id, definition, actor="test", now=ingest.clock.now())


def _no_crash(name: str) -> None:
    raise AssertionError(f"{name} crashed")


async def until(ingest: Ingest, condition: str, **parameters: Any) -> None:
    """Wait until a query's first column is true."""
    async with asyncio.timeout(20):
        while not (await ingest.query(f"SELECT ({condition})", **parameters))[0][0]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


__all__ = ["Ingest", "MemoryStripe", "StoppedClock", "Stored", "opened", "until"]

_PROJECT = text("""
INSERT INTO projects (public_id, name, epoch, home_oid) VALUES ('shop', 'Shop', 1, 'projects'::regclass) RETURNING id
""")
_PRODUCTS = text("""
INSERT INTO products (id, name, active, livemode, project_id)
VALUES ('prod_pro', 'Pro', true, false, :project_id), ('prod_life', 'Archive', true, false, :project_id)
""")
_PRICES = text("""
INSERT INTO prices (id, product_id, type, active, livemode, currency, project_id)
VALUES ('price_pro', 'prod_pro', 'recurring', true, false, 'usd', :project_id),
    ('price_life', 'prod_life', 'one_time', true, false, 'usd', :project_id)
""")
_GRANT = text("""
INSERT INTO manual_grants (user_ref, feature_code, valid_from, reason, actor)
VALUES (:ref, :feature, '2026-01-01Z', 'test', 'test')
""")
