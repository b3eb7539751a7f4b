"""A writer and a sidecar as processes of their own, a stand-in that tells the writer all, and a collector of spans."""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from sandbox.clients import CallError, Endpoint, Stripe, Writer
from sandbox.keyring import STRIPE_KEY, Keyring
from sandbox.ports import free_port
from sandbox.seed import seed_stripe, seed_writer, until_sold
from sandbox.service import Service, ServiceConfig
from sandbox.shop import NOTES
from sandbox.stripe.server import Options, StripeStandIn
from tests.support.waiting import eventually

Json = dict[str, Any]

COLLECTORS_KEY: Final = "collectors-own-key-0815"


@dataclass(frozen=True, slots=True)
class Told:
    """A span as the collector got it."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]


@dataclass
class Collector:
    """Takes spans over OTLP/HTTP, as any collector does."""

    spans: list[Told] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """Keep what was sent."""
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert request.headers["x-collector-key"] == COLLECTORS_KEY
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = next(one.value.string_value for one in resource.resource.attributes if one.key == "service.name")
            for scope in resource.scope_spans:
                self.spans += [_told(service, span) for span in scope.spans]
        done = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=done, content_type="application/x-protobuf")


def _told(service: str, span: Any) -> Told:
    attributes = {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
    return Told(service, span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), attributes)


@dataclass
class Observed:
    """What is observed, and how to ask it. The project is `notes`."""

    session: aiohttp.ClientSession
    collector: Collector
    url: str
    management: str
    answers: str
    database_url: str
    stripe: Stripe
    price: str
    keyring: Keyring
    secrets: frozenset[str]
    """Everything that the processes were given and must keep to themselves."""
    logs: Path

    @property
    def admin(self) -> Endpoint:
        """The writer, asked with the admin key."""
        return Endpoint(self.session, self.url, self.keyring.admin)

    @property
    def sidecar(self) -> Endpoint:
        """The sidecar's management port."""
        return Endpoint(self.session, self.management)

    async def paid(self, user: str) -> None:
        """Somebody subscribes and pays; returns once the sidecar lets them."""
        app = Writer(Endpoint(self.session, self.url, self.keyring.projects["notes"]), "notes")
        checkout = await app.checkout(user, self.price, "http://localhost/back")
        await self.stripe.pay(checkout["session_id"])
        answers = Endpoint(self.session, self.answers)

        async def is_let_in() -> bool:
            query = {"user_id": user, "feature": "export"}
            return bool((await answers.call("GET", "/api/v1/check", query=query))["allowed"])

        await eventually(is_let_in)

    def lines(self, service: str, message: str | None = None) -> list[Json]:
        """What a process logged: each line an object; of all lines, or of those with a message."""
        written = (self.logs / f"{service}.log").read_text(encoding="utf-8")
        found = [json.loads(line) for line in written[: written.rfind("\n") + 1].splitlines()]
        assert all(isinstance(line, dict) and line["time"] and line["logger"] for line in found)
        return [line for line in found if message in (None, line["message"])]

    async def status(self, method: str, path: str, key: str | None) -> int | None:
        """The status that a key is answered with."""
        try:
            await Endpoint(self.session, self.url, key).call(method, path)
        except CallError as error:
            return error.status
        return 200


@asynccontextmanager
async def observed(database_url: str, redis_url: str, logs: Path) -> AsyncIterator[Observed]:
    """Everything running, with `notes` for sale. Both URLs hold a password."""
    async with AsyncExitStack() as stack:
        collector = Collector()
        app = web.Application()
        app.router.add_post("/v1/traces", collector.take)
        taking = await stack.enter_async_context(TestServer(app))
        standin = await stack.enter_async_context(StripeStandIn(Options(retry_scale=1e-3)))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        keyring, listen = Keyring.new(), [f"127.0.0.1:{free_port()}" for _ in range(3)]
        url, answers, management = (f"http://{address}" for address in listen)
        shared = {"REDIS_URL": redis_url, "LOG_FORMAT": "json", **_spans_to(str(taking.make_url("/")).rstrip("/"))}
        for_writer = {
            "DATABASE_URL": database_url, "STRIPE_SECRET_KEY": STRIPE_KEY, "STRIPE_WEBHOOK_SECRET": keyring.webhook,
            "STRIPE_API_BASE": standin.url, "STRIPE_MAX_RPS": "100", "ADMIN_API_KEY": keyring.admin,
            "WRITER_LISTEN": listen[0],
        }  # fmt: skip
        await _started(stack, "writer", url, logs, {**shared, **for_writer})
        stripe = Stripe(Endpoint(session, standin.url, STRIPE_KEY))
        await stripe.control("endpoints", url=f"{url}/api/v1/webhooks/stripe", secret=keyring.webhook)
        admin = Endpoint(session, url, keyring.admin)
        prices = await seed_stripe(stripe, NOTES)
        keyring = await seed_writer(admin, NOTES, keyring)
        await until_sold(admin, NOTES, prices)
        for_sidecar = {
            "SIDECAR_PROJECT": "notes", "SIDECAR_API_KEY": keyring.projects["notes"], "WRITER_URL": url,
            "SIDECAR_LISTEN": listen[1], "SIDECAR_MANAGEMENT_LISTEN": listen[2],
        }  # fmt: skip
        await _started(stack, "sidecar", management, logs, {**shared, **for_sidecar})
        passwords = {password for one in (database_url, redis_url) if (password := urlsplit(one).password)}
        kept = frozenset({keyring.admin, keyring.webhook, *keyring.projects.values(), STRIPE_KEY, COLLECTORS_KEY})
        yield Observed(
            session, collector, url, management, answers, database_url, stripe, prices.subscription, keyring,
            kept | passwords, logs,
        )  # fmt: skip


def _spans_to(endpoint: str) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-collector-key={COLLECTORS_KEY}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }


async def _started(stack: AsyncExitStack, name: str, url: str, logs: Path, settings: dict[str, str]) -> None:
    service = Service(ServiceConfig(name, name, logs / f"{name}.log", f"{url}/ready", env=settings))
    stack.push_async_callback(service.close)
    await service.start()
