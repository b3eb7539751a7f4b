"""Two writers of one project, with the payer's routes, on a real database and the Stripe stand-in."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import SystemClock
from common.http import middleware
from common.settings import Secret
from sandbox.stripe.server import StripeStandIn
from tests.support.ledger import Untouched
from tests.support.window_limiter import WindowLimiter
from writer.apply.applier import Applier
from writer.auth import Authenticator
from writer.catalogue import mirror as mirroring
from writer.catalogue.mirror import StripeMirror
from writer.checkout.checkout import Checkout
from writer.checkout.confirm import Confirm
from writer.checkout.customers import Customers
from writer.checkout.portal import Portal
from writer.checkout.price_check import PriceCheck
from writer.checkout.routes import CheckoutRoutes
from writer.checkout.subscriptions import Subscriptions
from writer.db.engine import create_engine
from writer.db.transaction import Transactions
from writer.gateway.rate_limit import Urgency
from writer.gateway.stripe_gateway import StripeGateway
from writer.gateway.transport import Patience, StripeTransport
from writer.operations import keys, projects
from writer.operations.audit import Actor
from writer.recompute import Recompute
from writer.settings import DatabaseSettings, GraceSettings, StripeSettings
from writer.wakeup import Wakeup

ADMIN_KEY = "admin-key-of-the-test"
TESTER = Actor("cli:tester")
GRACE = GraceSettings(entitlement=259_200, trial=3_600, past_due=2_592_000)
PATIENCE = Patience(connect=2, answer=0.4, tries=2, pause=0.01)

Json = dict[str, Any]


@dataclass
class Shop:
    """Two writers (`clients`), Stripe, and a project `notes` that sells what its prices name."""

    standin: StripeStandIn
    engine: AsyncEngine
    gateway: StripeGateway
    clients: tuple[TestClient[web.Request, web.Application], ...]
    key: str
    prices: dict[str, str]

    async def post(
        self, path: str, body: object, *, writer: int = 0, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Json]:
        """Status and JSON of a request with the project's key."""
        sent = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        async with self.clients[writer].post(f"/api/v1/{path}", json=body, headers=sent) as response:
            return response.status, await response.json()

    async def respond(self, path: str, body: object) -> ClientResponse:
        """The same, with the response's headers."""
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self.clients[0].post(f"/api/v1/{path}", json=body, headers=headers) as response:
            await response.read()
            return response

    async def get(self, path: str) -> tuple[int, Json]:
        """Status and JSON of a request with the project's key."""
        async with self.clients[0].get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {self.key}"}) as response:
            return response.status, await response.json()

    def order(self, price: str = "pro", user: str = "ann", **more: object) -> Json:
        """A body for `checkout/create`; `price` is a name out of `prices`, or an id."""
        return {
            "user_id": user,
            "price_id": self.prices.get(price, price),
            "success_url": "https://app.example.com/paid",
            "cancel_url": "https://app.example.com/plans",
            **more,
        }

    async def checkout(self, price: str = "pro", user: str = "ann", **more: object) -> str:
        """The id of a new session."""
        status, answer = await self.post("checkout/create", self.order(price, user, **more))
        assert status == 200, answer
        return str(answer["session_id"])

    async def play(self, path: str, body: Json) -> Json:
        """What only the sandbox can do: the customer pays, time passes, Stripe fails."""
        client = self.clients[0].session
        async with client.post(f"{self.standin.url}/_sandbox/{path}", json=body) as response:
            answer: Json = await response.json()
            assert response.status == 200, answer
            return answer

    async def pay(self, session_id: str, outcome: str = "pay") -> None:
        """The customer acts on the payment page."""
        await self.play(f"pay/{session_id}", {"outcome": outcome})

    async def at_stripe(self, path: str, body: Mapping[str, str] | None = None) -> Json:
        """Ask Stripe directly: GET, or POST with a form."""
        client, headers = self.clients[0].session, {"Authorization": "Bearer sk_test_sandbox"}
        method = "GET" if body is None else "POST"
        async with client.request(method, f"{self.standin.url}/v1/{path}", data=body, headers=headers) as response:
            answer: Json = await response.json()
            assert response.status == 200, answer
            return answer

    async def rows(self, statement: str) -> list[Any]:
        """Rows of the database."""
        async with self.engine.connect() as connection:
            return list(await connection.execute(text(statement)))

    async def price(
        self,
        project: str | None,
        *,
        recurring: bool = True,
        product: str | None = None,
        more: Mapping[str, str] | None = None,
    ) -> str:
        """A price at Stripe that the mirror does not know; `more` goes into the form."""
        owner = {} if project is None else {"metadata[project_id]": project}
        if product is None:
            product = (await self.at_stripe("products", {"name": "Thing", **owner}))["id"]
        repeated = {"recurring[interval]": "month"} if recurring else {}
        form = {"product": product, "currency": "usd", "unit_amount": "900", **repeated, **(more or {})}
        return str((await self.at_stripe("prices", form))["id"])


@asynccontextmanager
async def open_shop(database_url: str, standin: StripeStandIn) -> AsyncIterator[Shop]:
    """A shop with the prices pro and pro_yearly (one product), team, and once (paid once), all mirrored."""
    async with AsyncExitStack() as stack:
        engines = [create_engine(DatabaseSettings(Secret(database_url), None, 10, 30, 10, 30)) for _ in range(2)]
        for engine in engines:
            stack.push_async_callback(engine.dispose)
        settings = StripeSettings(Secret("sk_test_sandbox"), None, (), standin.url, 100)
        transports = [
            await stack.enter_async_context(StripeTransport(settings, WindowLimiter(1000), SystemClock(), PATIENCE))
            for _ in engines
        ]
        gateways = [StripeGateway(transport, Urgency.PAYER) for transport in transports]
        apps = [_writer(engine, gateway) for engine, gateway in zip(engines, gateways, strict=True)]
        clients = tuple([await stack.enter_async_context(TestClient(TestServer(app))) for app in apps])
        shop = Shop(standin, engines[0], gateways[0], clients, await _project(engines[0]), {})
        await _stock(shop)
        yield shop


def _writer(engine: AsyncEngine, gateway: StripeGateway) -> web.Application:
    clock, transactions, relay = SystemClock(), Transactions(engine, Untouched()), Wakeup()
    recompute = Recompute(GRACE, clock)
    applier = Applier(engine, transactions, recompute, gateway, StripeMirror(clock), relay, CollectorRegistry())
    customers = Customers(transactions, gateway, livemode=False)
    portal = Portal(transactions, gateway, customers)
    prices = PriceCheck(transactions, gateway, livemode=False)
    routes = CheckoutRoutes(
        Authenticator(engine, (Secret(ADMIN_KEY),), clock),
        transactions,
        Checkout(transactions, gateway, prices, customers, portal, clock),
        Confirm(transactions, gateway, applier, relay, clock),
        portal,
        Subscriptions(transactions, GRACE),
        livemode=False,
    )
    app = web.Application(middlewares=[middleware])
    app.add_routes(routes.routes())
    return app


async def _project(engine: AsyncEngine) -> str:
    now = SystemClock().now()
    async with engine.begin() as connection:
        await projects.create(connection, "maps", "Maps", ["maps.example.com"], TESTER, now)
        project = await projects.create(connection, "notes", "Notes", ["app.example.com"], TESTER, now)
        return (await keys.create(connection, project, "web", None, TESTER, now)).secret.reveal()


async def _stock(shop: Shop) -> None:
    for name, codes in (("Pro", "export"), ("Team", "seats=5"), ("Once", "fonts")):
        form = {"name": name, "metadata[project_id]": "notes", "metadata[feature_codes]": codes}
        shop.prices[name] = (await shop.at_stripe("products", form))["id"]
    shop.prices["pro"] = await shop.price("notes", product=shop.prices["Pro"])
    shop.prices["pro_yearly"] = await shop.price("notes", product=shop.prices["Pro"])
    shop.prices["team"] = await shop.price("notes", product=shop.prices["Team"])
    shop.prices["once"] = await shop.price("notes", product=shop.prices["Once"], recurring=False)
    transactions = Transactions(shop.engine, Untouched())
    await mirroring.sync(transactions, shop.gateway, StripeMirror(SystemClock()), TESTER)


async def both(*requests: Any) -> list[Any]:
    """Run requests at the same moment."""
    return list(await asyncio.gather(*requests))
