"""Real faults of a running stack, and the alerts whose condition each must make true at a real Prometheus."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from sandbox.clients import CallError, Endpoint
from sandbox.stack import Stack
from tests.contract.monitoring.prometheus import Prometheus
from tests.support import planted_faults
from tests.support.planted_faults import Site

_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Fault:
    """What is broken, and which alerts begin to wait for their `for`."""

    words: str
    alerts: tuple[str, ...]
    happen: Callable[[Stack], Awaitable[None]]
    end: Callable[[Stack], Awaitable[None]]
    within: float = 30.0
    """Seconds until the condition must have come true."""


async def _stripe_away(stack: Stack) -> None:
    await stack.stripe.control("outage", mode="down")


async def _stripe_back(stack: Stack) -> None:
    await stack.stripe.control("outage", mode="none")


async def _wrong_questions(stack: Stack) -> None:
    sidecar = stack.apps["studio"].sidecar
    for _ in range(60):
        await sidecar.check("ada", "rendering")
        await asyncio.sleep(0.1)  # a counter that is born at sixty has not risen, for Prometheus


def _site(stack: Stack) -> Site:
    app = stack.apps["notes"]
    return Site(stack.stripe, stack.admin, app.sidecar, "sidecar-notes", stack.postgres.url, app.app, app.prices)


async def _nobodys(stack: Stack) -> None:
    await planted_faults.subscription_without_user(_site(stack))


async def _given_up(stack: Stack) -> None:
    await planted_faults.parked_event(_site(stack))


async def _nothing(_: Stack) -> None:
    pass


def _killed(*names: str) -> Callable[[Stack], Awaitable[None]]:
    return lambda stack: stack.kill(*names)


def _started(*names: str) -> Callable[[Stack], Awaitable[None]]:
    return lambda stack: stack.restart(*names)


FAULTS: Final = (
    Fault("an app asks for what no catalogue has", ("BillingUnknownFeature",), _wrong_questions, _nothing),
    Fault("a subscription names no user", ("BillingUnassigned",), _nobodys, _nothing),
    Fault("an event cannot be applied", ("BillingEventsParked",), _given_up, _nothing),
    Fault("Stripe is away", ("BillingStripeAway",), _stripe_away, _stripe_back),
    Fault("Redis is killed", ("BillingRedisDown",), _killed("redis"), _started("redis")),
    Fault("Postgres is killed", ("BillingWriterNotReady",), _killed("postgres"), _started("postgres"), 160),
    Fault(
        "all sidecars are killed",
        ("BillingSidecarsDown", "BillingSidecarsAbsent"),
        _killed("sidecar-notes", "sidecar-studio"),
        _started("sidecar-notes", "sidecar-studio"),
    ),
    Fault(
        "the writer and Redis are killed",
        ("BillingWriterAbsent", "BillingSidecarsStale", "BillingSidecarStale"),
        _killed("writer", "redis"),
        _started("redis", "writer"),
        100,
    ),
)


async def unseen(stack: Stack, prometheus: Prometheus, fault: Fault) -> set[str]:
    """Let a fault happen and end it; the alerts of it whose condition never came true."""
    async with _probed(stack):
        await fault.happen(stack)
        try:
            return await _missing(prometheus, fault)
        finally:
            await fault.end(stack)


async def _missing(prometheus: Prometheus, fault: Fault) -> set[str]:
    wanted = set(fault.alerts)
    with suppress(TimeoutError):
        async with asyncio.timeout(fault.within):
            while wanted:
                wanted -= {rule["name"] for rule in await prometheus.rules() if rule["state"] != "inactive"}
                await asyncio.sleep(_EVERY_S)
    return wanted


@asynccontextmanager
async def _probed(stack: Stack) -> AsyncIterator[None]:
    """The writer asked for its readiness all the while, as a load balancer does."""
    probing = asyncio.create_task(_probe(Endpoint(stack.session, stack.writer_url)))
    try:
        yield
    finally:
        probing.cancel()
        with suppress(asyncio.CancelledError):
            await probing


async def _probe(writer: Endpoint) -> None:
    while True:
        with suppress(CallError):
            await writer.call("GET", "/ready")
        await asyncio.sleep(_EVERY_S)
