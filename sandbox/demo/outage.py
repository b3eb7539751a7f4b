"""Chapter: Redis and the writer are killed; the sidecar answers on, says how old it is, and catches up."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

from redis.asyncio import Redis

from sandbox.clients import CallError, Json
from sandbox.demo.world import BACK, World, eventually
from sandbox.stack import RunningApp

SAMPLE_EVERY_S: Final = 0.05
STALE_WITHIN_S: Final = 10.0
WHOLE_WITHIN_S: Final = 10.0
CAUGHT_UP_WITHIN_S: Final = 20.0


async def play(world: World) -> None:
    """Killed, answering, back and empty, refilled, caught up."""
    report, notes = world.report, world.notes
    report.chapter("An outage: Redis and the writer are killed")
    session = await notes.writer.checkout("eve", notes.prices.subscription, BACK)
    keys = (await _held(world)).documents
    watcher = Watcher(notes)
    watching = asyncio.create_task(watcher.run())
    try:
        await world.stack.kill("redis", "writer")
        await _answering(world, watcher)
        await _paid_meanwhile(world, session["session_id"])
        await world.stack.restart("redis")
        empty = await _held(world)
        report.require("Redis is back, and empty", not empty.documents and not empty.meta, f"it holds {empty}")
        answer = await notes.sidecar.check("bea", "export")
        report.expect("The sidecar keeps what it knows: bea may export", answer, allowed=True)
        await _writer_returns(world, keys)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    report.require(
        f"In all that time bea was answered {len(watcher.answers)} times, always: allowed",
        not watcher.failures and all(answer["allowed"] for answer in watcher.answers),
        f"failures: {watcher.failures[:3]}, denials: {[a for a in watcher.answers if not a['allowed']][:2]}",
    )


@dataclass(slots=True)
class Watcher:
    """Asks the sidecar the same question over and over."""

    app: RunningApp
    answers: list[Json] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                self.answers.append(await self.app.sidecar.check("bea", "export"))
            except CallError as error:
                self.failures.append(str(error))
            await asyncio.sleep(SAMPLE_EVERY_S)


async def _answering(world: World, watcher: Watcher) -> None:
    report, sidecar = world.report, world.notes.sidecar
    answer = await sidecar.check("bea", "export")
    report.expect(f"At once: bea may export, as of {answer['age_ms']} ms ago", answer, allowed=True, stale=False)

    async def stale() -> bool:
        return bool((await sidecar.check("bea", "export"))["stale"])

    await eventually(stale, STALE_WITHIN_S)
    answer = await sidecar.check("bea", "export")
    report.expect(
        f"After {world.stack.config.stale_after} it calls itself stale, and answers: as of {answer['age_ms']} ms ago",
        answer,
        allowed=True,
        stale=True,
    )
    ages = [one["age_ms"] for one in watcher.answers if one["stale"]]
    report.require("and says so with every answer, older each time", ages == sorted(ages), f"ages: {ages}")
    ready = await sidecar.management.call("GET", "/ready")
    report.expect("It stays ready: its app is not taken out of service", ready, status="ready")


async def _paid_meanwhile(world: World, session: str) -> None:
    await world.stack.stripe.pay(session)
    answer = await world.notes.sidecar.check("eve", "export")
    world.report.expect("eve pays now; nobody can hear of it yet", answer, allowed=False, stale=True)


async def _writer_returns(world: World, keys: set[str]) -> None:
    report, notes = world.report, world.notes
    began = time.monotonic()
    await world.stack.restart("writer")
    report.require(
        f"The writer is back ({time.monotonic() - began:.1f} s to start)", world.stack.parts["writer"].running, ""
    )

    async def whole() -> bool:
        held, standing = await _held(world), await notes.sidecar.standing()
        return held.equals(standing) and keys <= held.documents

    async def caught_up() -> bool:
        answer = await notes.sidecar.check("eve", "export")
        return answer["allowed"] and not answer["stale"]

    seconds = await eventually(whole, WHOLE_WITHIN_S)
    held, standing = await _held(world), await notes.sidecar.standing()
    report.require(
        f"Redis is whole again after {seconds or 0:.1f} s: {held.meta.get('count')} users, digest "
        f"{held.meta.get('digest', '')[:8]}… as in the sidecar",
        seconds is not None,
        f"Redis holds {held}, the sidecar {standing}; missing: {sorted(keys - held.documents)}",
    )
    seconds = await eventually(caught_up, CAUGHT_UP_WITHIN_S)
    report.require(
        f"Stripe's webhook comes again; {seconds or 0:.1f} s later the sidecar has caught up: eve may export",
        seconds is not None,
        f"it answers {await notes.sidecar.check('eve', 'export')}",
    )


@dataclass(frozen=True, slots=True)
class Held:
    """What Redis holds of Notes: what it says of itself, and the keys of documents."""

    meta: dict[str, str]
    documents: set[str]

    def equals(self, standing: Json) -> bool:
        """Whether it says of itself what the sidecar says of its copy."""
        return all(self.meta.get(name) == str(standing[name]) for name in ("epoch", "revision", "count", "digest"))


async def _held(world: World) -> Held:
    # A client of its own each time: the server behind it may have been killed since the last.
    async with Redis.from_url(world.stack.redis.url, decode_responses=True) as redis:
        meta = await redis.hgetall("billing:meta:notes")
        return Held(
            {str(name): str(value) for name, value in meta.items()},
            {str(key) async for key in redis.scan_iter(match="entitlements:*:notes")},
        )
