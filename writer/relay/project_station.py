"""Everything that the holder of one project's lease does: relay, inspect, refill, repair, scrub, keep house."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from common.background import supervise
from common.backoff import Backoff
from common.identifiers import UserId
from writer import outbox
from writer.lineage import LAST_EPOCH
from writer.operations import erasure
from writer.relay.equipment import Equipment
from writer.relay.inspection import Inspection
from writer.relay.lease import Lease
from writer.relay.project_relay import CacheFaultError, LeaseLostError, ProjectRelay
from writer.relay.refill import Refill, Refilled
from writer.relay.repair import SCRUB_CHUNK, Repair
from writer.supervision import DATABASE_FAULTS, SPREAD, jittered, pauses
from writer.wakeup import Wakeup

_log = logging.getLogger(__name__)

T = TypeVar("T")

INSPECT_SECONDS: Final = 1.0
SCRUB_SECONDS: Final = 1.0
PASS_SECONDS: Final = 60.0
"""The pause between two walks of the scrub."""
HURRY_SECONDS: Final = 0.1
"""The pause between two chunks of the walk after changes at Redis may have been missed."""
PRESENCE_SECONDS: Final = 5.0
TRIM_TURNS: Final = 12
KEEP_SECONDS: Final = 86_400.0
KEEP_ENTRIES: Final = 10_000
REPAIRED_AT_ONCE: Final = 500
GATHER_SECONDS: Final = 0.1
"""Reports are looked at together, a moment later. What our own scripts write is reported as well, and looking at it
at once would slow down the very change that is being told."""
_MOST_REPORTED: Final = 100_000
_CALM_SECONDS: Final = 10.0


class ProjectStation:
    """Works for one project as long as its lease is ours; `run` ends when it is not."""

    def __init__(self, lease: Lease, equipment: Equipment) -> None:
        e = self._e = equipment
        self._id = lease.project_id
        self.relay = ProjectRelay(lease, e.backlog, e.leases, e.cache, e.clock, e.metrics, self._damaged)
        self._inspection = Inspection(self.relay, e.copy, e.heads, e.lineage, self._damaged)
        self._repair = Repair(
            self.relay, e.snapshots, e.copy, e.metrics, e.clock, self._to_recompute, lambda: self._settled
        )
        self._lost = asyncio.Event()
        self._damage: str | None = None
        self._mending = False
        self._mend = Wakeup()
        # Nothing is known of Redis before the first look.
        self._doubted = self._hurry = self._walking = True
        self._inspect = Wakeup()
        self._reports = Wakeup()
        self._reported: dict[UserId, None] = {}
        self._repaired: dict[UserId, bool] = {}
        self._recompute = Wakeup()
        self._scrub = Wakeup()

    async def run(self) -> None:
        """Work until the lease is lost or this is cancelled."""
        works = [
            self._relaying, self._inspecting, self._refilling, self._repairing, self._recomputing, self._scrubbing,
            self._housekeeping,
        ]  # fmt: skip
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._supervised(work)) for work in works]
                await self._lost.wait()
                for task in tasks:
                    task.cancel()
        finally:
            self._e.metrics.let_go(self.relay.lease.project)
        _log.info("this writer relays the project no longer project=%s", self.relay.lease.project)

    def lose(self) -> None:
        """The lease is not ours any more."""
        self._lost.set()

    def reported(self, user: UserId) -> None:
        """Somebody else changed this user's document at Redis."""
        if len(self._reported) < _MOST_REPORTED:
            self._reported[user] = None
        else:
            self._hurry = True  # the walk finds the others
        self._reports.notify()

    def nudge(self) -> None:
        """Somebody else changed another key of the project."""
        self._inspect.notify()

    def doubt(self) -> None:
        """Anything may have changed at Redis."""
        self._doubted = self._hurry = True
        self._inspect.notify()
        self._scrub.notify()

    @property
    def _settled(self) -> bool:
        # While Redis may be empty, single documents are not worth looking at: the refill brings them all.
        return not (self._doubted or self._mending or self._damage)

    def _damaged(self, reason: str) -> None:
        if self._damage is None and not self._mending:
            _log.warning("Redis is refilled project=%s reason=%s", self.relay.lease.project, reason)
        self._damage = reason
        self._mend.notify()

    def _to_recompute(self, user: UserId, *, anew: bool = False) -> None:
        self._repaired[user] = anew or self._repaired.get(user, False)
        self._recompute.notify()

    async def _relaying(self) -> None:
        backoff = pauses()
        while True:
            more = await self._attempt(self.relay.turn, backoff)
            if more is not None:
                self._e.database_outage.worked()
            if more is False and self.relay.position is not None:
                await self._e.heads.beyond(self._id, self.relay.position, self.relay.next_heartbeat)

    async def _inspecting(self) -> None:
        backoff = pauses()

        async def look() -> bool:
            await self._inspection.look(refilling=self._mending, thorough=self._doubted)
            self._doubted = False
            self._e.redis_outage.worked()
            self._e.metrics.redis_up(up=True)
            return True

        while True:
            if await self._attempt(look, backoff):
                await self._inspect.wait(jittered(INSPECT_SECONDS))

    async def _refilling(self) -> None:
        backoff = pauses()
        pace = Backoff(SPREAD, most=30.0)
        ended = -_CALM_SECONDS
        while True:
            if self._damage is None:
                await self._mend.wait(INSPECT_SECONDS)
                continue
            if self._e.clock.monotonic() - ended > _CALM_SECONDS:
                pace.reset()
            else:  # a Redis that evicts our keys must not be refilled without a pause
                await asyncio.sleep(pace.wait())
            self._mending = True
            self._e.metrics.refill(self.relay.lease.project)
            async with self._e.refills:
                outcome = await self._attempt(self._new_refill().run, backoff)
            ended = self._e.clock.monotonic()
            self._mending = False
            if outcome is Refilled.WHOLE:
                self._damage = None
                self._inspect.notify()

    def _new_refill(self) -> Refill:
        return Refill(self.relay, self._e.snapshots, self._e.backlog, self._e.copy, self._e.clock)

    async def _repairing(self) -> None:
        backoff = pauses()
        while True:
            await self._reports.wait(INSPECT_SECONDS)
            if self._reported:
                await asyncio.sleep(GATHER_SECONDS)
            while self._reported and self._settled:
                users = [self._reported.popitem()[0] for _ in range(min(REPAIRED_AT_ONCE, len(self._reported)))]

                async def repair(chosen: list[UserId] = users) -> bool:
                    return await self._repair.users(chosen)

                if not await self._attempt(repair, backoff):
                    self._reported.update(dict.fromkeys(users))

    async def _recomputing(self) -> None:
        backoff = pauses()
        while True:
            await self._recompute.wait(INSPECT_SECONDS)
            while self._repaired:
                user, anew = self._repaired.popitem()

                async def recompute(chosen: UserId = user, new: bool = anew) -> bool:
                    await self._e.recompute_user(self._id, chosen, new)
                    return True

                if await self._attempt(recompute, backoff) is None:
                    self._to_recompute(user, anew=anew)

    async def _scrubbing(self) -> None:
        backoff = pauses()
        while True:
            await self._scrub.wait(jittered(self._scrub_pause()))
            if not self._settled:
                continue
            self._walking = await self._attempt(self._repair.scrub, backoff) is not False
            if not self._walking:
                self._hurry = False

    def _scrub_pause(self) -> float:
        if self._hurry:
            return HURRY_SECONDS
        if not self._walking:
            return min(PASS_SECONDS, (self._e.ttl or PASS_SECONDS) / 4)
        standing = self.relay.standing
        chunks = 2 * ((standing.count if standing else 0) // SCRUB_CHUNK + 1)  # Postgres's documents, Redis's users
        return min(SCRUB_SECONDS, (self._e.ttl or PASS_SECONDS * chunks) / 4 / chunks)

    async def _housekeeping(self) -> None:
        backoff = pauses()
        turns = itertools.cycle(range(TRIM_TURNS))
        while True:
            await asyncio.sleep(jittered(PRESENCE_SECONDS))
            await self._attempt(self._compare_presences, backoff)
            if next(turns) == 0:
                await self._attempt(self._trim, backoff)

    async def _compare_presences(self) -> bool:
        for presence in await self._e.presences.of(self.relay.lease.project):
            if presence.position is not None and presence.position.epoch <= LAST_EPOCH:
                await self._inspection.compare(presence.position, "sidecar")
        return True

    async def _trim(self) -> bool:
        async with self._e.engine.begin() as connection:
            await outbox.trim(connection, self._id, keep_seconds=KEEP_SECONDS, keep_entries=KEEP_ENTRIES)
            await erasure.forget_names(connection, self._id)
        await self._e.presences.forget_old(self.relay.lease.project)
        return True

    async def _supervised(self, work: Callable[[], Awaitable[None]]) -> None:
        name = f"{work.__name__.strip('_')}:{self.relay.lease.project}"
        await supervise(name, work, self._e.metrics.crashed, SPREAD)

    async def _attempt(self, act: Callable[[], Awaitable[T]], backoff: Backoff) -> T | None:
        """What `act` answers; None after a pause where Redis or Postgres is away, or the lease is lost."""
        try:
            result = await act()
        except LeaseLostError:
            self.lose()
        except CacheFaultError as error:
            self._e.redis_outage.failed(error)
            self._e.metrics.redis_up(up=False)
        except DATABASE_FAULTS as error:
            self._e.database_outage.failed(error)
        else:
            backoff.reset()
            return result
        await asyncio.sleep(backoff.wait())
        return None
