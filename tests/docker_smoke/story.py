"""What the profiles are for: a sidecar answers, a backup is made, in the sandbox somebody pays and cancels."""

import asyncio
import time
from typing import Final

import aiohttp
import orjson

from sandbox.clients import TIMEOUT, CallError, Endpoint, Json, Sidecar, Stripe, Writer
from sandbox.keyring import STRIPE_KEY
from sandbox.seed import seed_stripe
from sandbox.shop import NOTES
from tests.docker_smoke.engine import Engine
from tests.docker_smoke.table import Row

STRIPE: Final = "http://127.0.0.1:12111"
WRITER: Final = "http://127.0.0.1:8001"
SIDECAR: Final = "http://127.0.0.1:7072"
TOY: Final = "http://127.0.0.1:8090/"
WITHIN_S: Final = 20.0
POLL_S: Final = 0.01


def pays_and_cancels(engine: Engine, row: Row) -> None:
    """Denied, paid, allowed; cancelled, denied; and the toy app leads to Stripe's page."""
    held = engine.must("docker compose --profile sandbox exec -T toy cat /var/lib/billing-sandbox/keys.json")
    keys = orjson.loads(held)
    row.note = asyncio.run(_story(keys["projects"][NOTES.project]))


async def _story(key: str) -> str:
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        stripe = Stripe(Endpoint(session, STRIPE, STRIPE_KEY))
        writer = Writer(Endpoint(session, WRITER, key), NOTES.project)
        sidecar = Sidecar(Endpoint(session, SIDECAR), Endpoint(session, SIDECAR), NOTES.project)
        prices = await seed_stripe(stripe, NOTES)
        user = f"smoke-{time.time_ns()}"
        before = await sidecar.check(user, "export")
        assert before["reason"] == "not_granted", before
        assert before["unlocked_by"] == [prices.subscription], before
        checkout = await writer.checkout(user, prices.subscription, TOY)
        assert checkout["url"].startswith(f"{STRIPE}/"), checkout
        await stripe.pay(checkout["session_id"])
        paid = await _until(sidecar, user, allowed=True)
        found = await writer.api.call("GET", "/api/v1/subscriptions", query={"user_id": user})
        await stripe.delete(f"subscriptions/{found['subscriptions'][0]['id']}")
        gone = await _until(sidecar, user, allowed=False)
        await _button(session)
    return f"allowed {paid * 1000:.0f} ms after the payment, denied {gone * 1000:.0f} ms after the cancellation"


async def _until(sidecar: Sidecar, user: str, *, allowed: bool) -> float:
    """Ask until the answer is so; the seconds that it took. AssertionError where it does not come."""
    began, answer = time.monotonic(), Json()
    while time.monotonic() - began < WITHIN_S:
        answer = await sidecar.check(user, "export")
        if answer["allowed"] is allowed:
            return time.monotonic() - began
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"still {answer}")


async def _button(session: aiohttp.ClientSession) -> None:
    """The toy app's button leads to Stripe's page, at the address that a browser on this machine has."""
    form = {"user": "ada", "what": "subscription"}
    async with session.post(f"{TOY}pay", data=form, allow_redirects=False) as answer:
        page = answer.headers.get("Location", "")
    async with session.get(page) as answer:
        assert answer.status == 200, f"{page}: {answer.status}"


def answers(engine: Engine, row: Row) -> None:
    """A sidecar of the profile `sidecar`, with a project of the writer `app`: what was granted is allowed."""
    key = engine.must("docker compose exec -T app billing key create project_456 smoke 2>/dev/null")
    with (engine.folder / ".env").open("a", encoding="utf-8") as file:
        file.write(f"\nSIDECAR_PROJECT=project_456\nSIDECAR_API_KEY={key}\n")
    engine.must("docker compose up --detach --wait sidecar", 300)
    answer = asyncio.run(_asked("user_123"))
    assert answer["allowed"] is True, answer
    assert not answer["stale"], answer
    row.note = f"granted to user_123, {answer['age_ms']} ms old"


def backs_up(engine: Engine, row: Row) -> None:
    """The service `backup` makes one at its start, restores it to look at it, and leaves it where `app` finds it."""
    engine.must("docker compose up --detach --wait backup")
    engine.must("docker compose --profile backup logs --no-log-prefix backup | grep ^verified:")
    (dump,) = engine.must("docker compose exec -T app sh -c 'ls /var/lib/billing-backups/*.dump'").splitlines()
    row.note = dump.rpartition("/")[2]


async def _asked(user: str) -> Json:
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        endpoint = Endpoint(session, "http://127.0.0.1:7070")
        sidecar = Sidecar(endpoint, endpoint, "project_456")
        deadline = time.monotonic() + WITHIN_S
        while True:
            try:
                answer = await sidecar.check(user, "pro")
            except CallError:
                if time.monotonic() > deadline:
                    raise
            else:
                if answer["allowed"] or time.monotonic() > deadline:
                    return answer
            await asyncio.sleep(POLL_S)
