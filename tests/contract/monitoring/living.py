"""Some life on a running stack, so that its metrics have something to tell."""

import asyncio
from contextlib import suppress
from typing import Final

import aiohttp
from redis.asyncio import Redis

from sandbox.clients import CallError, Endpoint, Json
from sandbox.stack import RunningApp, Stack

BACK: Final = "http://localhost/paid"
ROUNDS: Final = 8
_FLAGS: Final = "/ofrep/v1/evaluate/flags"


async def live(stack: Stack) -> None:
    """Customers buy, cancel and get money back, apps ask in every way, an operator works: within half a minute."""
    app = stack.apps["notes"]
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_watch(app))
        for number in range(ROUNDS):
            await _buy(stack, app, f"user-{number}")
            await _ask(app, f"user-{number}")
            await asyncio.sleep(1)
        await _operate(stack, app)
        await _strangers(stack)
        await _forget(stack, app)
        await asyncio.sleep(2)
        await stack.kill("redis")
        await asyncio.sleep(2)
        await stack.restart("redis")
        for number in range(ROUNDS):
            await _ask(app, f"user-{number}")
            await asyncio.sleep(0.5)
        watching.cancel()


async def _buy(stack: Stack, app: RunningApp, user: str) -> None:
    session = await app.writer.checkout(user, app.prices.subscription, BACK)
    paid = await stack.stripe.pay(session["session_id"])
    confirmed = await app.writer.confirm(session["session_id"])
    await app.sidecar.check(user, "export", confirmed["token"])
    await stack.stripe.post(f"subscriptions/{paid['subscription']}", cancel_at_period_end="true")


async def _ask(app: RunningApp, user: str) -> None:
    """As an app does: one, several, all, as flags, with what its old logic says."""
    answers = app.sidecar.answers
    for feature in ("export", "documents", "themes"):
        await app.sidecar.check(user, feature)
    query = {"user_id": user, "feature": "export", "expected": "true"}
    await answers.call("GET", "/api/v1/check", query=query)
    await answers.call("GET", "/api/v1/entitlements", query={"user_id": user})
    await answers.call("POST", _FLAGS, body={"context": {"targetingKey": user}})
    await app.writer.api.call("GET", "/api/v1/check", query={"user_id": user, "feature": "export"})


async def _watch(app: RunningApp) -> None:
    """An open event stream."""
    endpoint = app.sidecar.answers
    url, never = f"{endpoint.url}/api/v1/stream", aiohttp.ClientTimeout(total=None)
    async with endpoint.session.get(url, params={"user_id": "user-0"}, timeout=never) as stream:
        async for _ in stream.content:
            pass


async def _operate(stack: Stack, app: RunningApp) -> None:
    grant = {"project_id": app.app.project, "user_id": "user-0", "feature": "themes", "reason": "monitoring"}
    await stack.admin.call("POST", "/api/v1/admin/grant", body=grant)
    await app.sidecar.check("user-0", "exports")
    run: Json = await stack.admin.call("POST", "/api/v1/admin/reconcile", body={"full": True})
    path = f"/api/v1/admin/reconcile/{run['run_id']}"
    async with asyncio.timeout(30):
        while (await stack.admin.call("GET", path))["finished_at"] is None:  # noqa: ASYNC110 - the writer's work
            await asyncio.sleep(0.2)


async def _forget(stack: Stack, app: RunningApp) -> None:
    """Somebody deletes a document at Redis, as the guide for operators says."""
    redis = Redis.from_url(stack.redis.url)
    try:
        await redis.delete(f"entitlements:user-0:{app.app.project}")
    finally:
        await redis.aclose()


async def _strangers(stack: Stack) -> None:
    """Who has no key, and a webhook that nobody signed."""
    stranger = Endpoint(stack.session, stack.writer_url, "bk_nobodys")
    with suppress(CallError):
        await stranger.call("GET", "/api/v1/entitlements", query={"user_id": "ada"})
    with suppress(CallError):
        await stranger.call("POST", "/api/v1/webhooks/stripe", body={}, headers={"Stripe-Signature": "t=1,v1=0"})
