"""The whole stand-in put together: state, clock, API, pages, control routes and webhooks behind one port."""

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from aiohttp import web

from sandbox.stripe import (
    account,
    catalog,
    checkout,
    customers,
    discounts,
    disputes,
    events,
    invoice_items,
    invoices,
    payment_methods,
    payments,
    portal,
    refunds,
    schedules,
    subscription_items,
    subscriptions,
    test_clocks,
    webhook_endpoints,
)
from sandbox.stripe.agenda import Agenda
from sandbox.stripe.api import Api, problem_as_stripe
from sandbox.stripe.clock import Clock
from sandbox.stripe.control import ControlRoutes
from sandbox.stripe.delivery import Deliveries
from sandbox.stripe.errors import invalid
from sandbox.stripe.faults import Faults, Outage
from sandbox.stripe.ledger import Ledger, Settings
from sandbox.stripe.page_routes import Pages
from sandbox.stripe.payment_page import ROUTES as PAYMENT_PAGE_ROUTES
from sandbox.stripe.persistence import StateFile
from sandbox.stripe.shapes import JsonObject
from sandbox.stripe.store import Store
from sandbox.stripe.webhook_endpoints import new_endpoint

LOG: Final = logging.getLogger(__name__)
HOST: Final = "127.0.0.1"
TICK: Final = 0.25
SAVE_EVERY: Final = 2.0
REMEMBERED_REQUESTS: Final = 20_000
RESOURCES: Final = (
    account,
    catalog,
    checkout,
    customers,
    discounts,
    disputes,
    invoice_items,
    invoices,
    payment_methods,
    payments,
    portal,
    refunds,
    schedules,
    subscription_items,
    subscriptions,
    webhook_endpoints,
)


@dataclass(frozen=True, slots=True)
class Options:
    """How to run. `port` 0 is a free one; `prefix` such as `/stripe` puts every path under it.

    `public_url` is where a browser reaches it, prefix included; None: where it listens.

    `retry_scale` multiplies Stripe's waits between webhook attempts (5 s, 5 min, 30 min, …).
    """

    host: str = HOST
    port: int = 0
    prefix: str = ""
    public_url: str | None = None
    api_keys: tuple[str, ...] = ("sk_test_sandbox",)
    webhook_url: str | None = None
    webhook_secret: str = "whsec_test"  # noqa: S105 - the sandbox's own
    webhook_version: str | None = None
    state: Path | None = None
    seed: str | None = None
    retry_scale: float = 1 / 300
    settings: Settings = field(default_factory=Settings)


class StripeStandIn:
    """A Stripe account. Use as `async with StripeStandIn(Options(...)) as standin`."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.clock = Clock()
        self.store = Store(self.options.seed)
        self.ledger = Ledger(self.store, self.clock, self.options.settings)
        self.faults = Faults()
        self.outage = Outage()
        self.requests: deque[tuple[str, str, float]] = deque(maxlen=REMEMBERED_REQUESTS)
        self.deliveries = Deliveries(self.ledger, self.faults, retry_scale=self.options.retry_scale)
        self.agenda = Agenda(self.ledger)
        self.ledger.listeners.append(self.deliveries.accept)
        self._file = StateFile(self.options.state, self.store, self.clock) if self.options.state else None
        self._runner: web.AppRunner | None = None
        self._ticker: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it answers, prefix included; known once started."""
        return self.ledger.base_url

    @property
    def port(self) -> int:
        """Where it listens; known once started."""
        return int(self._runner.addresses[0][1]) if self._runner is not None else 0

    async def start(self) -> None:
        """Load the state, listen, and begin to deliver."""
        if self._file is not None:
            self._file.load()
        self._runner = web.AppRunner(self._app(), access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.options.host, self.options.port)
        await site.start()
        self.ledger.base_url = self.options.public_url or f"http://{self.options.host}:{self.port}{self.options.prefix}"
        self._register_endpoint()
        await self.deliveries.start()
        self._ticker = asyncio.create_task(self._tick(), name="stripe-clock")

    async def stop(self) -> None:
        """End deliveries, close the port, save the state."""
        if self._ticker is not None:
            self._ticker.cancel()
            with suppress(asyncio.CancelledError):
                await self._ticker
        await self.deliveries.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._file is not None:
            self._file.save()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def advance(self, seconds: int = 0, *, to: int | None = None) -> int:
        """Move the server's clock forward and let everything due happen at its moment; answers how many things did."""
        target = self.clock.now() + seconds if to is None else to
        if target < self.clock.now():
            raise invalid("the clock only goes forward", "to")
        done = self.agenda.run_until(target)
        self.clock.move_to(target)
        self.store.changes += 1
        return done

    def inject(self, event_type: str, item: JsonObject, overrides: JsonObject | None = None) -> JsonObject:
        """Deliver an event that Stripe did not cause, with `overrides` such as `{"livemode": True}`."""
        listeners, self.ledger.listeners = self.ledger.listeners, []
        try:
            event = self.ledger.emit(event_type, {"id": "unknown_0", "object": "unknown"} | item)
        finally:
            self.ledger.listeners = listeners
        event |= overrides or {}
        self.store.put(event)
        self.deliveries.accept(event)
        return event

    def _register_endpoint(self) -> None:
        options = self.options
        if options.webhook_url is None:
            return
        known = self.store.where("webhook_endpoint", description="from the command line")
        endpoint = known[0] if known else new_endpoint(self.ledger, options.webhook_url)
        endpoint |= {"url": options.webhook_url, "description": "from the command line"}
        endpoint["api_version"] = options.webhook_version or endpoint["api_version"]
        self.store.note("secrets")[endpoint["id"]] = [options.webhook_secret]

    def _app(self) -> web.Application:
        api = Api(self.ledger, self.agenda, self.outage, self.options.api_keys, self.requests)
        app = web.Application(middlewares=[problem_as_stripe(api)], client_max_size=4 * 1024 * 1024)
        for resource in RESOURCES:
            api.add(app.router, resource.ROUTES)
        api.add(app.router, PAYMENT_PAGE_ROUTES)
        api.add(app.router, events.routes(self.deliveries.resend))
        api.add(app.router, test_clocks.routes(self.agenda.run_until))
        Pages(self.ledger, self.agenda).add(app.router)
        ControlRoutes(self).add(app.router)
        if not self.options.prefix:
            return app
        outer = web.Application(middlewares=[problem_as_stripe(api)])
        outer.add_subapp(self.options.prefix, app)
        return outer

    async def _tick(self) -> None:
        """Real time passes too: let what falls due happen, and save now and then."""
        ticks = 0
        while True:
            await asyncio.sleep(TICK)
            ticks += 1
            try:
                self.agenda.run_until(self.clock.now())
                if self._file is not None and ticks % int(SAVE_EVERY / TICK) == 0:
                    self._file.save()
            except Exception:
                LOG.exception("the clock's work failed; it goes on with the next tick")
