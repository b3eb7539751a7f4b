"""The whole way in: the stand-in's signed webhooks, the SDK's fetches, and the documents that come of them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
import stripe
from aiohttp import web

from common import http
from common.clock import SystemClock
from common.settings import Secret
from sandbox.stripe.server import Options, StripeStandIn
from tests.support.ingest import Ingest, opened, until
from tests.support.stripe_standin import DAY, FAST_RETRIES, KEY, SECRET, Receiver, Shop
from writer.domain.stripe.event import Event
from writer.gateway.rate_limit import WindowLimiter
from writer.gateway.stripe_gateway import StripeGateway
from writer.gateway.transport import StripeTransport
from writer.settings import StripeSettings
from writer.webhook import Signer, Webhook

SETTLED = "SELECT NOT EXISTS (SELECT FROM webhook_events WHERE status = 'pending')"
UNWELL = "SELECT type, last_error FROM webhook_events WHERE status = 'parked'"
ADA = {"user_id": "ada", "project_id": "shop"}


class NoTrace:
    """Leaves none."""

    def leave(self, event: Event) -> None:
        """Nothing."""


@dataclass
class Town:
    """A stand-in, and a writer that it tells everything."""

    shop: Shop
    ingest: Ingest

    async def features(self, user: str = "ada") -> list[str]:
        """What a user's document holds, once all is told and worked on."""
        await self.shop.standin.deliveries.idle()
        await until(self.ingest, SETTLED)
        assert await self.ingest.query(UNWELL) == []
        return sorted(name.split()[1] for name in await self.ingest.held(user))

    async def price(self, feature: str, interval: str | None) -> Any:
        """A price that grants a feature of `shop`."""
        metadata = {"project_id": "shop", "feature_codes": feature}
        return await self.shop.price(interval=interval, metadata=metadata)


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    """A running town."""
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(app := web.Application(middlewares=[http.middleware]))
        door = _Door()
        app.router.add_post("/hook", door.receive)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        options = replace(Options(retry_scale=FAST_RETRIES), webhook_url=url)
        standin = await stack.enter_async_context(StripeStandIn(options))
        settings = StripeSettings(Secret(KEY), None, (Secret(SECRET),), standin.url, 100)
        transport = await stack.enter_async_context(StripeTransport(settings, WindowLimiter(100), SystemClock()))
        ingest = await stack.enter_async_context(opened(database_url, gateway=StripeGateway(transport)))
        ingest.clock.at = SystemClock().now() / 1_000_000
        signer = Signer(settings.webhook_secrets, SystemClock())
        door.webhook = Webhook(signer, ingest.inbox, ingest.pipeline, NoTrace(), ingest.registry, livemode=False)
        await stack.enter_async_context(ingest.working())
        session = await stack.enter_async_context(aiohttp.ClientSession())
        http_client: Any = stripe.AIOHTTPClient()
        stack.push_async_callback(http_client.close_async)
        client = stripe.StripeClient(KEY, base_addresses={"api": standin.url}, http_client=http_client)
        yield Town(Shop(standin, Receiver(), client, session), ingest)


class _Door:
    """The webhook's route; it must stand before the stand-in knows where to send."""

    webhook: Webhook

    async def receive(self, request: web.Request) -> web.Response:
        """Pass it on."""
        return await self.webhook.receive(request)


async def test_a_subscriptions_life(town: Town) -> None:
    """Bought, renewed, cancelled at the period's end: each is in the document, with the end that Stripe means."""
    price = await town.price("export", "month")
    bought = await town.shop.subscribed(price, subscription_data={"metadata": ADA})
    assert await town.features() == ["export"]
    (first,) = (await town.ingest.held()).values()
    town.shop.standin.advance(31 * DAY)
    town.ingest.clock.at += 31 * DAY
    assert await town.features() == ["export"]
    (second,) = (await town.ingest.held()).values()
    assert (first or "") < (second or "")
    await town.shop.client.v1.subscriptions.update_async(bought.id, {"cancel_at_period_end": True})
    await town.features()
    (third,) = (await town.ingest.held()).values()
    assert (third or "") < (second or "")


async def test_a_change_of_plan(town: Town) -> None:
    """An item that gets another price grants that one's features from then on."""
    cheap, dear = await town.price("export", "month"), await town.price("archive", "month")
    bought = await town.shop.subscribed(cheap, subscription_data={"metadata": ADA})
    assert await town.features() == ["export"]
    items: Any = [{"id": bought["items"].data[0].id, "price": dear.id}]
    await town.shop.client.v1.subscriptions.update_async(bought.id, {"items": items})
    assert await town.features() == ["archive"]


async def test_a_purchase_and_its_refund(town: Town) -> None:
    """A one-time purchase grants for life, until it is given back whole."""
    price = await town.price("archive", None)
    session = await town.shop.bought(price, mode="payment", metadata=ADA)
    assert await town.features() == ["archive"]
    assert list((await town.ingest.held()).values()) == [None]
    await town.shop.client.v1.refunds.create_async({"payment_intent": session.payment_intent})
    assert await town.features() == []


async def test_only_the_session_says_whose_it_is(town: Town) -> None:
    """`client_reference_id` alone, as a payment link carries it, makes the subscription its user's."""
    await town.shop.subscribed(await town.price("export", "month"), client_reference_id="ada")
    assert await town.features() == ["export"]
