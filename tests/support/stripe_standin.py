"""A stand-in with a receiver for its webhooks and Stripe's own SDK as its client."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import stripe
from aiohttp import web

from sandbox.stripe.server import Options, StripeStandIn

SECRET = "whsec_test"
KEY = "sk_test_sandbox"
DAY = 86_400
FAST_RETRIES = 1e-6


@dataclass(slots=True)
class Receiver:
    """Takes webhooks whose signature Stripe's SDK accepts; `answers` are given first, then 200."""

    url: str = ""
    secret: str = SECRET
    answers: list[int] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0

    @property
    def types(self) -> list[str]:
        """The types of what arrived, in order of arrival."""
        return [event["type"] for event in self.events]

    def last(self, event_type: str) -> dict[str, Any]:
        """The object of the last event of a type."""
        found: dict[str, Any] = next(e for e in reversed(self.events) if e["type"] == event_type)["data"]["object"]
        return found

    async def take(self, request: web.Request) -> web.Response:
        """Check as a receiver should, then keep."""
        body = await request.text()
        header = request.headers["Stripe-Signature"]
        try:
            stripe.WebhookSignature.verify_header(body, header, self.secret, tolerance=300)
        except stripe.SignatureVerificationError:
            self.refused += 1
            return web.Response(status=400)
        if self.answers:
            return web.Response(status=self.answers.pop(0))
        self.events.append(json.loads(body))
        return web.Response()


@dataclass(slots=True)
class Shop:
    """A stand-in, its receiver and a client; what a test says in a line."""

    standin: StripeStandIn
    receiver: Receiver
    client: stripe.StripeClient
    http: aiohttp.ClientSession

    async def price(self, amount: int | None = 1000, interval: str | None = "month", **extra: Any) -> Any:
        """A price of a new product; `interval` None is a one-time price."""
        product = await self.client.v1.products.create_async({"name": "Pro"})
        recurring = {"recurring": {"interval": interval}} if interval else {}
        cost = {} if amount is None else {"unit_amount": amount}
        params: Any = {"product": product.id, "currency": "usd", **cost, **recurring, **extra}
        return await self.client.v1.prices.create_async(params)

    async def session(self, *prices: Any, mode: str = "subscription", **extra: Any) -> Any:
        """A checkout session of the prices."""
        lines = [{"price": price.id, "quantity": 1} for price in prices]
        params: Any = {"mode": mode, "line_items": lines, "success_url": "http://shop.example/ok", **extra}
        return await self.client.v1.checkout.sessions.create_async(params)

    async def bought(self, *prices: Any, **extra: Any) -> Any:
        """The session after the customer paid it."""
        session = await self.session(*prices, **extra)
        await self.control("pay/" + session.id, outcome="pay")
        return await self.client.v1.checkout.sessions.retrieve_async(session.id)

    async def subscribed(self, *prices: Any, **extra: Any) -> Any:
        """A subscription that was bought by checkout."""
        session = await self.bought(*prices, **extra)
        return await self.client.v1.subscriptions.retrieve_async(session.subscription)

    async def control(self, path: str, **body: Any) -> Any:
        """POST to a control route, answer its JSON."""
        async with self.http.post(f"{self.standin.url}/_sandbox/{path}", json=body) as answer:
            found = await answer.json()
            assert answer.status == 200, found
            return found

    async def settled(self) -> list[str]:
        """The types of everything sent, once nothing is under way."""
        await self.standin.deliveries.idle()
        return self.receiver.types


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        await runner.cleanup()


@asynccontextmanager
async def opened(options: Options | None = None) -> AsyncIterator[Shop]:
    """A running shop."""
    async with receiving() as receiver:
        chosen = replace(options or Options(retry_scale=FAST_RETRIES), webhook_url=receiver.url)
        async with StripeStandIn(chosen) as standin, aiohttp.ClientSession() as http:
            transport: Any = stripe.AIOHTTPClient()
            client = stripe.StripeClient(KEY, base_addresses={"api": standin.url}, http_client=transport)
            try:
                yield Shop(standin, receiver, client, http)
            finally:
                await transport.close_async()
