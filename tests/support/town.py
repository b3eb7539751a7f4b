"""A town: the stand-in tells a writer everything by signed webhooks, the writer fetches by Stripe's own SDK."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import stripe
from aiohttp import web

from common import http
from common.clock import SECOND, Instant, SystemClock
from common.decision import Decision, decide
from common.identifiers import FeatureCode, ProjectId, UserId
from common.settings import Secret
from sandbox.stripe.server import Options, StripeStandIn
from tests.support.ingest import Ingest, opened, until
from tests.support.stripe_standin import FAST_RETRIES, KEY, SECRET, Receiver, Shop
from tests.support.window_limiter import WindowLimiter
from writer.catalogue import yaml
from writer.documents import Documents
from writer.domain.stripe.event import Event
from writer.gateway.stripe_gateway import StripeGateway
from writer.gateway.transport import StripeTransport
from writer.operations.audit import Actor
from writer.operations.operations import Operations
from writer.settings import StripeSettings
from writer.webhook import Signer, Webhook

GRACE, TRIAL_GRACE, PAST_DUE_GRACE = 72 * 3_600, 3_600, 30 * 86_400
"""Seconds; the town's writer has them as `tests.support.ingest` sets them."""

_SETTLED = "SELECT NOT EXISTS (SELECT FROM webhook_events WHERE status = 'pending')"
_UNWELL = "SELECT type, last_error FROM webhook_events WHERE status = 'parked'"


def owned(user: str = "ada") -> dict[str, str]:
    """Metadata that says whose something is."""
    return {"user_id": user, "project_id": "shop"}


class NoTrace:
    """Leaves none."""

    def leave(self, event: Event) -> None:
        """Nothing."""


class Door:
    """The webhook's route; it must stand before the stand-in knows where to send."""

    webhook: Webhook

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """Pass it on."""
        (route,) = self.webhook.routes()
        return await route.handler(request)


@dataclass
class Town:
    """A stand-in, and a writer that it tells everything. The project is `shop`."""

    shop: Shop
    ingest: Ingest
    gateway: StripeGateway

    @property
    def client(self) -> Any:
        """Stripe's SDK, untyped: parameters are shorter to write."""
        return self.shop.client.v1

    @property
    def now(self) -> int:
        """Unix seconds at Stripe."""
        return self.shop.standin.clock.now()

    async def settled(self) -> None:
        """Wait until all is told and worked on, and nothing was given up."""
        await self.shop.standin.deliveries.idle()
        await until(self.ingest, _SETTLED)
        assert await self.ingest.query(_UNWELL) == []

    async def features(self, user: str = "ada") -> list[str]:
        """What a user's document holds, granting or not, once all is settled."""
        await self.settled()
        return sorted(name.split()[1] for name in await self.ingest.held(user))

    async def ends(self, user: str = "ada") -> dict[str, int | None]:
        """Until when each feature of the document is held, Unix seconds; None is for life."""
        await self.settled()
        held = await self._documents().held(self.ingest.project_id, UserId(user))
        return {
            row.feature_code: None if row.valid_to is None else row.valid_to // SECOND
            for row in held.document.entitlements
        }

    async def answer(self, feature: str, at: float | None = None, user: str = "ada") -> Decision:
        """What a sidecar answers at `at` (Unix seconds; now where left out), by the rule that it shares."""
        await self.settled()
        return await self.judged(feature, self.now if at is None else at, user)

    async def judged(self, feature: str, at: float, user: str = "ada") -> Decision:
        """The same of what is committed, whatever is still on its way."""
        held = await self._documents().held(self.ingest.project_id, UserId(user))
        moment = Instant(round(at * SECOND))
        return decide(held.document.entitlements, FeatureCode(feature), held.catalogue, moment)

    async def allowed(self, feature: str, *at: float, user: str = "ada") -> list[bool]:
        """Whether it is allowed at each of these moments, Unix seconds."""
        await self.settled()
        return [(await self.judged(feature, moment, user)).allowed for moment in at]

    async def price(self, feature: str, interval: str | None = "month", **extra: Any) -> Any:
        """A price that grants a feature of `shop`."""
        metadata = {"project_id": "shop", "feature_codes": feature}
        return await self.shop.price(interval=interval, metadata=metadata, **extra)

    async def declare(self, price: Any, feature: str, value: Any, *, per_unit: bool = False) -> None:
        """Let the catalogue say that a price gives a limit; all else that was declared goes."""
        granted = {"value": value, "per_unit": per_unit}
        catalogue = {"features": {feature: {"kind": "limit"}}, "plans": {price.id: {"features": {feature: granted}}}}
        text = json.dumps({"version": 1, "projects": {"shop": catalogue}})
        ingest = self.ingest
        operations = Operations(ingest.engine, ingest.transactions, ingest.recompute, ingest.clock, ingest.relay.notify)
        await operations.apply_catalogue("shop", yaml.load(text)[ProjectId("shop")], Actor("test"))

    async def subscribed(self, *prices: Any, user: str = "ada", **data: Any) -> Any:
        """A subscription that a user bought by checkout; `data` goes into its `subscription_data`."""
        return await self.shop.subscribed(*prices, subscription_data={"metadata": owned(user), **data})

    async def customer(self, **extra: Any) -> Any:
        """A customer with a card that works."""
        return await self.client.customers.create_async({"source": "tok_visa", **extra})

    async def subscription(self, *prices: Any, customer: Any = None, user: str = "ada", **extra: Any) -> Any:
        """A subscription made over the API, as a back office makes them."""
        payer = customer or await self.customer()
        items = [{"price": price.id} for price in prices]
        params = {"customer": payer.id, "items": items, "metadata": owned(user), **extra}
        return await self.client.subscriptions.create_async(params)

    async def change(self, subscription: Any, **changes: Any) -> Any:
        """The subscription as changed over the API."""
        return await self.client.subscriptions.update_async(subscription.id, changes)

    async def stripes(self, subscription: Any) -> Any:
        """The subscription as Stripe holds it now."""
        return await self.client.subscriptions.retrieve_async(subscription.id)

    def wait(self, seconds: int) -> None:
        """Let time pass at Stripe and here; what falls due happens at its moment."""
        self.shop.standin.advance(seconds)
        self.ingest.clock.at = float(self.now)

    def wait_until(self, moment: int) -> None:
        """Let time pass up to a moment, Unix seconds."""
        self.wait(moment - self.now)

    async def charges(self, customer: str, outcome: str) -> None:
        """From now on charges of a customer `fail` or `succeed`."""
        await self.shop.control(f"payment_method/{customer}", outcome=outcome)

    def _documents(self) -> Documents:
        return Documents(self.ingest.engine, self.ingest.clock)


def period_end(subscription: Any) -> int:
    """When the subscription's first item's period ends."""
    return int(subscription["items"].data[0].current_period_end)


@asynccontextmanager
async def opened_town(database_url: str, **options: Any) -> AsyncIterator[Town]:
    """A running town on a fresh database; `options` are the stand-in's."""
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(app := web.Application(middlewares=[http.middleware]))
        door = Door()
        app.router.add_post("/hook", door.receive)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        chosen = replace(Options(retry_scale=FAST_RETRIES), webhook_url=url, **options)
        standin = await stack.enter_async_context(StripeStandIn(chosen))
        settings = StripeSettings(Secret(KEY), None, (Secret(SECRET),), standin.url, 100)
        transport = await stack.enter_async_context(StripeTransport(settings, WindowLimiter(1000), SystemClock()))
        gateway = StripeGateway(transport)
        ingest = await stack.enter_async_context(opened(database_url, gateway=gateway))
        ingest.clock.at = SystemClock().now() / SECOND
        signer = Signer(settings.webhook_secrets, SystemClock())
        door.webhook = Webhook(signer, ingest.inbox, ingest.pipeline, NoTrace(), ingest.registry, livemode=False)
        await stack.enter_async_context(ingest.working())
        session = await stack.enter_async_context(aiohttp.ClientSession())
        http_client: Any = stripe.AIOHTTPClient()
        stack.push_async_callback(http_client.close_async)
        client = stripe.StripeClient(KEY, base_addresses={"api": standin.url}, http_client=http_client)
        yield Town(Shop(standin, Receiver(), client, session), ingest, gateway)


async def together(*requests: Any) -> list[Any]:
    """Run requests at the same moment."""
    return list(await asyncio.gather(*requests))
