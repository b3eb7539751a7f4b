"""The faults: each is caused, lasts, and ends; what is whole again afterwards is somebody else's to say."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from sandbox.service import Service
from tests.chaos import plant as plants
from tests.chaos.billing import Billing, Given
from tests.chaos.commits import Reader
from tests.chaos.plant import Beside, Plant

_PATIENCE_S: Final = 60.0
_POLL_S: Final = 0.02
_DELETED_AT_ONCE: Final = 5


@dataclass(slots=True)
class Ground:
    """What faults are done to, and what they leave for the report."""

    plant: Plant
    billing: Billing
    reader: Reader
    rng: Random
    takeovers: list[float] = field(default_factory=list)
    """Seconds from a lease holder's stop until another writer held its lease."""
    dump: Given | None = None
    restores: int = 0
    afterwards: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """What an operator does once everything is in step again."""
    on_restore: Callable[[], None] = lambda: None
    """Called when the old database is about to go, and no writer runs."""

    @property
    def dump_file(self) -> str:
        """Where the dump is."""
        return str(self.plant.folder / "dump.sql")

    async def make_dump(self) -> None:
        """What `pg_dump` says of the database now."""
        async with self.billing.nobody_operates():
            self.dump = self.billing.given()
            await asyncio.to_thread(self.plant.run, "pg_dump", *_file(self))


Cause = Callable[[Ground, float], Awaitable[float]]
"""Causes it for about so many seconds; monotonic seconds at which it was over, from which recovery is counted."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind. `parts` are what it does something to: two that share one are not caused together.

    `holds_back` tells that messages come late, by as much as it lasts.
    """

    name: str
    parts: frozenset[str]
    cause: Cause
    holds_back: bool = False


async def kill_writer(ground: Ground, seconds: float) -> float:
    """SIGKILL, mostly of whoever relays; it is started again."""
    writer = await _some_writer(ground)
    await writer.kill()
    await asyncio.sleep(seconds)
    return await _over(writer.start())


async def stop_lease_holder(ground: Ground, seconds: float) -> float:
    """SIGSTOP of whoever relays, until another does, and SIGCONT: it wakes late."""
    holder = await _holder(ground)
    began = time.monotonic()
    holder.process.pause()
    try:
        await _eventually(lambda: _held_by_another(ground, holder))
        ground.takeovers.append(time.monotonic() - began)
        await asyncio.sleep(seconds)
    finally:
        holder.process.resume()
    return time.monotonic()


async def restart_writers(ground: Ground, seconds: float) -> float:
    """SIGTERM, one after the other, as an upgrade does."""
    for writer in ground.plant.writers:
        await writer.stop()
        await writer.start()
        await asyncio.sleep(seconds / 4)
    return time.monotonic()


async def kill_sidecar(ground: Ground, seconds: float) -> float:
    """SIGKILL of one or all; started again."""
    chosen = ground.plant.sidecars if ground.rng.random() < 0.2 else [ground.rng.choice(ground.plant.sidecars)]
    for one in chosen:
        one.down, one.disturbed = True, time.monotonic()
    await asyncio.gather(*(one.service.kill() for one in chosen))
    await asyncio.sleep(seconds / 2)
    return await _over(*(_start_sidecar(one) for one in chosen))


async def pause_sidecar(ground: Ground, seconds: float) -> float:
    """SIGSTOP and SIGCONT of one."""
    one = ground.rng.choice(ground.plant.sidecars)
    one.paused, one.disturbed = True, time.monotonic()
    one.service.process.pause()
    try:
        await asyncio.sleep(seconds)
    finally:
        one.service.process.resume()
        one.paused, one.disturbed = False, time.monotonic()
    return one.disturbed


async def restart_redis(ground: Ground, seconds: float) -> float:
    """SIGKILL; it comes back empty."""
    await ground.plant.redis.kill()
    await asyncio.sleep(seconds)
    return await _over(ground.plant.redis.start())


async def pause_redis(ground: Ground, seconds: float) -> float:
    """SIGSTOP and SIGCONT."""
    ground.plant.redis.process.pause()
    try:
        await asyncio.sleep(seconds)
    finally:
        ground.plant.redis.process.resume()
    return time.monotonic()


async def empty_redis(ground: Ground, seconds: float) -> float:
    """FLUSHALL, and once more in what may be the middle of the refill."""
    client = await ground.plant.client()
    async with client:
        await client.flushall()
        await asyncio.sleep(ground.rng.random() * min(seconds, 1.0))
        await client.flushall()
    return time.monotonic()


async def delete_documents(ground: Ground, seconds: float) -> float:
    """DEL of some users' documents."""
    return await _delete(ground, "entitlements:*", seconds)


async def delete_keys(ground: Ground, seconds: float) -> float:
    """DEL of some other keys: meta, users, catalogue, change log, presence."""
    return await _delete(ground, "billing:*", seconds)


async def restart_postgres(ground: Ground, seconds: float) -> float:
    """SIGKILL; it recovers from its log."""
    await ground.plant.postgres.kill()
    await asyncio.sleep(seconds / 2)
    return await _over(ground.plant.postgres.start())


async def restore_dump(ground: Ground, seconds: float) -> float:
    """As the guide says: stop the writers, load the dump into an empty database, start them; then reconcile."""
    plant, billing = ground.plant, ground.billing
    if ground.dump is None:
        raise AssertionError("there is no dump")
    async with billing.nobody_operates():
        await asyncio.gather(*(writer.stop() for writer in plant.writers))
        ground.on_restore()
        await _eventually(ground.reader.look)
        async with ground.reader.away():
            await plant.new_database()
            await asyncio.to_thread(plant.run, "psql", "--quiet", "--set", "ON_ERROR_STOP=1", *_file(ground))
        billing.forget_since(ground.dump)
        ground.restores += 1
        await asyncio.sleep(seconds / 4)
        ground.afterwards.append(billing.reconcile)
        return await _over(*(writer.start() for writer in plant.writers))


def on_link(group: str, how: str) -> Fault:
    """What may happen to the network between two."""

    async def cause(ground: Ground, seconds: float) -> float:
        links = ground.plant.links_of(group)
        chosen = links if ground.rng.random() < 0.4 else [ground.rng.choice(links)]
        match how:
            case "cut":
                for link in chosen:
                    link.cut()
            case "half-close":
                for link in chosen:
                    link.half_close()
            case "refuse":
                await asyncio.gather(*(link.refuse() for link in chosen))
                await asyncio.sleep(seconds)
                await asyncio.gather(*(link.start() for link in chosen))
            case _:
                up, down = ground.rng.choice(((True, True), (True, False), (False, True)))
                for link in chosen:
                    link.stall(up=up, down=down)
                await asyncio.sleep(seconds)
                for link in chosen:
                    if how == "lose":  # what was under way comes never
                        link.cut()
                    link.open()
        return time.monotonic()

    return Fault(f"{how} {group}", frozenset({group}), cause, holds_back=how == "stall")


GROUPS: Final = ("writer to redis", "writer to postgres", "sidecar to redis", "sidecar to writer")
_WRITERS: Final = frozenset({"writers", "writer to postgres", "database"})

KINDS: Final[Sequence[Fault]] = (
    Fault("kill a writer", frozenset({"writers", "database"}), kill_writer),
    Fault("stop the lease holder", _WRITERS | {"writer to redis"}, stop_lease_holder),
    Fault("restart the writers in turn", frozenset({"writers", "database"}), restart_writers),
    Fault("kill a sidecar", frozenset({"sidecars"}), kill_sidecar),
    Fault("stop a sidecar", frozenset({"sidecars"}), pause_sidecar, holds_back=True),
    Fault("kill Redis", frozenset({"redis"}), restart_redis),
    Fault("stop Redis", frozenset({"redis"}), pause_redis, holds_back=True),
    Fault("FLUSHALL", frozenset({"redis"}), empty_redis),
    Fault("DEL documents", frozenset({"redis"}), delete_documents),
    Fault("DEL other keys", frozenset({"redis"}), delete_keys),
    Fault("kill Postgres", frozenset({"database"}), restart_postgres),
    Fault("restore an older dump", _WRITERS, restore_dump),
    *(on_link(group, how) for group in GROUPS for how in ("cut", "half-close", "refuse", "stall", "lose")),
)


def _file(ground: Ground) -> tuple[str, str]:
    return "--file", ground.dump_file


async def _some_writer(ground: Ground) -> Service:
    if ground.rng.random() < 0.3:
        return ground.rng.choice(ground.plant.writers)
    return await _holder(ground)


async def _holder(ground: Ground) -> Service:
    found: list[Service] = []

    async def look() -> bool:
        holder = await ground.plant.holder()
        found.extend([holder] if holder is not None else [])
        return bool(found)

    await _eventually(look)
    return found[0]


async def _held_by_another(ground: Ground, holder: Service) -> bool:
    now = await ground.plant.holder()
    return now is not None and now is not holder


async def _start_sidecar(one: Beside) -> None:
    one.down = False
    await plants.start(one)
    one.disturbed = time.monotonic()


async def _delete(ground: Ground, pattern: str, seconds: float) -> float:
    client = await ground.plant.client()
    async with client:
        for _ in range(3):
            found = sorted([key async for key in client.scan_iter(pattern)])
            if found:
                await client.delete(*ground.rng.sample(found, min(_DELETED_AT_ONCE, len(found))))
            await asyncio.sleep(seconds / 6)
    return time.monotonic()


async def _over(*starts: Awaitable[None]) -> float:
    """Start again what was ended; a fault is over when that begins."""
    began = time.monotonic()
    await asyncio.gather(*starts)
    return began


async def _eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while not await holds():  # noqa: ASYNC110 - what others hold has no event to wait on
            await asyncio.sleep(_POLL_S)
