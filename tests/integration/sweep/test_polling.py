"""A laptop without a tunnel: no webhook endpoint anywhere, and a payment changes the answer all the same."""

from pathlib import Path

import aiohttp
import pytest

from common.settings import SettingsError
from sandbox.clients import Endpoint, Stripe, Writer
from sandbox.keyring import STRIPE_KEY, Keyring
from sandbox.ports import free_port
from sandbox.seed import seed_stripe, seed_writer, until_sold
from sandbox.service import Service, ServiceConfig
from sandbox.shop import NOTES
from sandbox.stripe.server import Options, StripeStandIn
from tests.support.waiting import eventually
from writer.settings import read

SETTINGS = {
    "DATABASE_URL": "postgresql://localhost/billing",
    "REDIS_URL": "redis://localhost",
    "STRIPE_SECRET_KEY": STRIPE_KEY,
    "ADMIN_API_KEY": "admin",
}


async def test_a_payment_arrives_without_any_webhook(database_url: str, redis_url: str, tmp_path: Path) -> None:
    """The writer polls: prices, a purchase and a cancellation are heard of, and STRIPE_MAX_RPS is kept."""
    port, keyring = free_port(), Keyring.load(None)
    url = f"http://127.0.0.1:{port}"
    async with StripeStandIn(Options()) as standin, aiohttp.ClientSession() as session:
        environment = {
            **SETTINGS,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "STRIPE_API_BASE": standin.url,
            "STRIPE_POLL": "1s",
            "STRIPE_MAX_RPS": "8",
            "ADMIN_API_KEY": keyring.admin,
            "WRITER_LISTEN": f"127.0.0.1:{port}",
        }
        writer = Service(ServiceConfig("writer", "writer", tmp_path / "writer.log", f"{url}/ready", env=environment))
        await writer.start()
        try:
            stripe, admin = Stripe(Endpoint(session, standin.url, STRIPE_KEY)), Endpoint(session, url, keyring.admin)
            prices = await seed_stripe(stripe, NOTES)
            keyring = await seed_writer(admin, NOTES, keyring)
            await until_sold(admin, NOTES, prices)
            app = Writer(Endpoint(session, url, keyring.projects["notes"]), "notes")
            checkout = await app.checkout("ada", prices.subscription, "http://localhost/back")
            paid = await stripe.pay(checkout["session_id"])

            async def exports(expected: bool) -> bool:
                answer = await app.api.call("GET", "/api/v1/check", query={"user_id": "ada", "feature": "export"})
                return answer["allowed"] is expected

            await eventually(lambda: exports(True))
            await stripe.delete(f"subscriptions/{paid['subscription']}")
            await eventually(lambda: exports(False))
            metrics = await admin.call("GET", "/metrics")
        finally:
            await writer.close()
        arrivals = [arrived for _, path, arrived in standin.requests if path == "/v1/events"]
    assert len(arrivals) > 2
    assert all(sum(begin <= one < begin + 1 for one in arrivals) <= 8 for begin in arrivals)
    assert sample(metrics, 'billing_sweep_found_total{origin="poll",type="customer.subscription.created"}') == 1
    assert sample(metrics, 'billing_stripe_requests_total{operation="GET /v1/events",outcome="answered"}') > 2
    assert sample(metrics, "billing_sweep_lag_seconds") < 60
    log = (tmp_path / "writer.log").read_text(encoding="utf-8")
    assert "background task crashed" not in log


def sample(text: str, name: str) -> float:
    """One number out of Prometheus's text form."""
    return float(next(line for line in text.splitlines() if line.startswith(f"{name} ")).rsplit(" ", 1)[1])


def test_without_polling_a_webhook_secret_is_needed() -> None:
    """Polling needs none; a writer that would hear of nothing does not start."""
    assert read({**SETTINGS, "STRIPE_POLL": "2s"}).stripe.webhook_secrets == ()
    with pytest.raises(SettingsError) as caught:
        read(SETTINGS)
    assert [fault.split()[0] for fault in caught.value.faults] == ["STRIPE_WEBHOOK_SECRET"]
