"""The webhook: what is signed is stored before it is acknowledged, what is not is refused, nothing signed is lost."""

import io
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from common import http
from common.settings import Secret
from tests.support import stripe_objects as stripe
from tests.support.ingest import Ingest, StoppedClock
from tests.support.postgres import StartPostgres, migrate
from tests.support.stripe_objects import NOW, SECRET, Json
from writer.db.engine import create_engine
from writer.domain.stripe.event import Event
from writer.inbox import Inbox
from writer.settings import DatabaseSettings
from writer.webhook import MAX_BODY, TOLERANCE, Signer, Webhook

PATH = "/api/v1/webhooks/stripe"
OTHER_SECRET = "whsec_the_next_one"


@dataclass
class Seen:
    """Whom the webhook told of an event."""

    handed: list[str] = field(default_factory=list)
    traced: list[str] = field(default_factory=list)

    def hand(self, object_id: str, *, awaited: bool = True) -> None:
        """Note the object."""
        self.handed.append(object_id)

    def leave(self, event: Event) -> None:
        """Note the event."""
        self.traced.append(event.id)


@dataclass
class Door:
    """The route, served, with what went through it."""

    client: TestClient[Any, Any]
    registry: CollectorRegistry
    seen: Seen

    async def post(self, body: bytes | io.BytesIO, signature: str | None) -> ClientResponse:
        """Send a body with a signature."""
        return await self.client.post(PATH, data=body, headers={"Stripe-Signature": signature} if signature else {})

    async def send(self, sent: Json) -> ClientResponse:
        """Send an event as Stripe does."""
        body = stripe.body_of(sent)
        return await self.post(body, stripe.signature(body, NOW))


def served(inbox: Inbox) -> tuple[web.Application, CollectorRegistry, Seen]:
    """An application with the one route."""
    seen, registry, clock = Seen(), CollectorRegistry(), StoppedClock()
    signer = Signer((Secret(SECRET), Secret(OTHER_SECRET)), clock)
    app = web.Application(middlewares=[http.middleware])
    app.add_routes(Webhook(signer, inbox, seen, seen, registry, livemode=False).routes())
    return app, registry, seen


@pytest.fixture
async def door(ingest: Ingest) -> AsyncIterator[Door]:
    """The route before a real inbox."""
    app, registry, seen = served(ingest.inbox)
    async with TestClient(TestServer(app)) as client:
        yield Door(client, registry, seen)


BODY = stripe.body_of(stripe.event("customer.updated", stripe.customer()))
GOOD = stripe.signature(BODY, NOW)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "missing_signature"),
        ("", "missing_signature"),
        ("nonsense", "invalid_signature"),
        (f"t={NOW}", "invalid_signature"),
        (f"t=x,v1={'0' * 64}", "invalid_signature"),
        (f"t={NOW},v1={'0' * 64}", "invalid_signature"),
        (f"t={NOW},v1=ü", "invalid_signature"),
        (f"t={NOW},v0={GOOD.rpartition('=')[2]}", "invalid_signature"),
        (stripe.signature(BODY, NOW, "whsec_somebody_elses"), "invalid_signature"),
        (stripe.signature(BODY + b" ", NOW), "invalid_signature"),
        (f"t={NOW + 1},{GOOD.partition(',')[2]}", "invalid_signature"),
        (stripe.signature(BODY, NOW - TOLERANCE - 1), "timestamp_too_old"),
        (stripe.signature(BODY, NOW + TOLERANCE + 1), "timestamp_too_old"),
    ],
)
async def test_what_is_not_signed_is_refused(door: Door, ingest: Ingest, header: str | None, code: str) -> None:
    """400 with a code that says what is wrong, and no trace of it in the database."""
    answer = await door.post(BODY, header)
    assert (answer.status, (await answer.json())["code"]) == (400, code)
    assert await ingest.statuses() == {}
    assert door.registry.get_sample_value("billing_webhook_refused_total", {"code": code}) == 1


@pytest.mark.parametrize(
    "header",
    [
        GOOD,
        stripe.signature(BODY, NOW, OTHER_SECRET),
        stripe.signature(BODY, NOW - TOLERANCE),
        f"{GOOD},v1={'0' * 64},v0=old",
        f"t={NOW},v1={'0' * 64},{GOOD.partition(',')[2]}",
    ],
)
async def test_what_is_signed_is_stored_and_handed_on(door: Door, ingest: Ingest, header: str) -> None:
    """With any of the secrets, one good signature among several is enough; the row holds the very bytes."""
    answer = await door.post(BODY, header)
    assert (answer.status, (await answer.json())["outcome"]) == (200, "stored")
    (row,) = await ingest.query(
        "SELECT payload, status, object_id, claimed_by, claimed_until > now() AS held FROM webhook_events"
    )
    assert (row.payload, row.status, row.object_id) == (BODY, "pending", "cus_1")
    assert (row.claimed_by, row.held) == ("writer-1", True)
    assert door.seen.handed == ["cus_1"]
    assert len(door.seen.traced) == 1


async def test_a_duplicate_is_acknowledged_and_not_worked_on(door: Door, ingest: Ingest) -> None:
    """Stripe sends again what it is not sure of: 2xx, one row, one piece of work."""
    sent = stripe.event("customer.updated", stripe.customer())
    assert [(await (await door.send(sent)).json())["outcome"] for _ in range(3)] == ["stored", "duplicate", "duplicate"]
    assert len(await ingest.statuses()) == 1
    assert door.seen.handed == ["cus_1"]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (stripe.event("customer.updated", stripe.customer(), account="acct_1"), "it belongs to a connected account"),
        (stripe.event("customer.updated", stripe.customer(), livemode=True), "its livemode is not ours"),
        (stripe.event("radar.early_fraud_warning.created", {"id": "issfr_1"}), "its type changes no entitlement"),
        (stripe.event("customer.updated", {}), "it names no object"),
        (stripe.thin_event("billing.meter", "mtr_1"), "its type changes no entitlement"),
        (stripe.thin_event("subscription", "sub_1", context="acct_1"), "it belongs to a connected account"),
    ],
)
async def test_what_is_not_ours_is_stored_and_ignored(door: Door, ingest: Ingest, sent: Json, reason: str) -> None:
    """2xx, so that Stripe does not send it again; kept with the reason; never worked on."""
    answer = await door.send(sent)
    assert (answer.status, (await answer.json())["outcome"]) == (200, "ignored")
    (row,) = await ingest.query("SELECT status, last_error, processed_at FROM webhook_events")
    assert (row.status, row.last_error) == ("ignored", reason)
    assert row.processed_at is not None
    assert door.seen.handed == []


async def test_a_thin_event_is_a_hint_about_its_object(door: Door) -> None:
    """It is stored under its related object and handed on."""
    assert (await door.send(stripe.thin_event("subscription", "sub_1"))).status == 200
    assert door.seen.handed == ["sub_1"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b"[]", "not_an_event"),
        (b'{"object":"customer"}', "not_an_event"),
        (b'{"object":"event","id":"evt_1","type":"x","created":"soon","data":{}}', "not_an_event"),
        (b'{"object":"event","id":"evt_1\\u0000","type":"x","created":1,"data":{}}', "not_an_event"),
        (b'{"object":"event","id":"evt_1","type":"x","created":1e300,"data":{}}', "not_an_event"),
        (b'{"object":"event","id":"evt_1","type":"x","created":99999999999999,"data":{}}', "not_an_event"),
    ],
)
async def test_a_signed_body_that_is_no_event_is_told(
    door: Door, ingest: Ingest, caplog: pytest.LogCaptureFixture, body: bytes, code: str
) -> None:
    """400 with a code, counted, and logged with size and hash, so that an operator can match it at Stripe."""
    answer = await door.post(body, stripe.signature(body, NOW))
    assert (answer.status, (await answer.json())["code"]) == (400, code)
    assert f"bytes={len(body)} sha256=" in caplog.text
    assert await ingest.statuses() == {}


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused(door: Door, chunked: bool) -> None:
    """413, whether its length is told ahead or not; one of just that size is read."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b"x" * (MAX_BODY // 16)

    body = chunks() if chunked else io.BytesIO(b"x" * (MAX_BODY + 1))
    answer = await door.client.post(PATH, data=body, headers={"Stripe-Signature": GOOD})
    assert (answer.status, (await answer.json())["code"]) == (413, "body_too_large")
    assert (await (await door.post(io.BytesIO(b"x" * MAX_BODY), GOOD)).json())["code"] == "invalid_signature"


async def test_each_event_leaves_a_line(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    """At INFO, with the word that the guide greps for, the type and the id; nothing of the customer."""
    sent = stripe.event("customer.updated", stripe.customer(email="ada@example.com"))
    with caplog.at_level(logging.INFO, "writer.webhook"):
        await door.send(sent)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "writer.webhook"]
    assert line == f"webhook stored type=customer.updated event_id={sent['id']} object=cus_1"


async def test_without_postgres_stripe_is_asked_to_send_again(postgres_server: StartPostgres) -> None:
    """503 while the database is away, and the same delivery is stored once it is back."""
    server = await postgres_server(durable=True)
    migrate(server.url)
    engine = create_engine(DatabaseSettings(Secret(server.url), None, 2, 5, 5, 5))
    app, _, seen = served(Inbox(engine, "writer-1", 10))
    async with TestClient(TestServer(app)) as client:
        headers = {"Stripe-Signature": GOOD}
        await server.kill()
        answer = await client.post(PATH, data=BODY, headers=headers)
        assert (answer.status, (await answer.json())["code"]) == (503, "database_unavailable")
        assert "Retry-After" in answer.headers
        assert seen.handed == []
        await server.start()
        assert (await client.post(PATH, data=BODY, headers=headers)).status == 200
    await engine.dispose()
