"""The product broken on purpose, to see that a simulation notices. Each breaks one rule while it is applied."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final
from weakref import WeakKeyDictionary

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from common import keys
from common.clock import Instant
from common.document import Document
from common.identifiers import ProjectId, UserId
from common.position import NOWHERE, Position
from common.wire import Change, Heartbeat, UserChanged
from sidecar import catchup, check, repair
from sidecar.catchup import Apply, ChangeLog, Filled
from sidecar.follower import Follower
from sidecar.freshness import Freshness
from sidecar.inbox import Arrival
from sidecar.packing import packed_entry
from sidecar.redis_feed import RedisFeed
from sidecar.replica import Applied, Compared, Copy, Installed, Proof, Replica
from tests.simulation import oracle
from tests.simulation.processes import PROCESS, Process
from tests.simulation.writer_process import WriterProcess
from writer import outbox
from writer.cache import copy as cache_copy
from writer.cache import redis_cache
from writer.cache.commands import Command, RedisCommands
from writer.cache.copy import CacheCopy
from writer.cache.link import RedisLink
from writer.cache.redis_cache import RedisCache
from writer.cache.scripts import Mode
from writer.lineage import LineageKeeper
from writer.outbox import Cause, Revision, UserChange
from writer.relay import heads as relay_heads
from writer.relay.heads import Standing, head_of
from writer.relay.inspection import Inspection
from writer.relay.lease import LEASE_SECONDS, Lease, Leases
from writer.relay.project_relay import ProjectRelay
from writer.supervision import DATABASE_FAULTS

Break = Callable[[pytest.MonkeyPatch], None]


def _publish_before_commit(patch: pytest.MonkeyPatch) -> None:
    """A change is told while its transaction is still open."""
    caches: WeakKeyDictionary[Process, RedisCache] = WeakKeyDictionary()
    make, append = WriterProcess.__init__, outbox.append_users

    def made(self: WriterProcess, *arguments: Any) -> None:
        make(self, *arguments)
        caches[self.process] = RedisCache(RedisCommands(RedisLink(self.connector)), None)

    async def appended(
        connection: AsyncConnection, changes: Iterable[UserChange], cause: Cause, now: Instant
    ) -> list[Revision]:
        listed = list(changes)
        revisions = await append(connection, listed, cause, now)
        rows = {change.user_id: change.entitlements for change in listed}
        told: list[Change] = [
            UserChanged(Document(r.user_id, r.project, *r.position, now, rows[r.user_id]), now) for r in revisions
        ]
        await caches[PROCESS.get()].publish(revisions[0].project, told)
        return revisions

    patch.setattr(WriterProcess, "__init__", made)
    patch.setattr(outbox, "append_users", appended)


def _snapshot_before_subscribe(patch: pytest.MonkeyPatch) -> None:
    """A sidecar loads first and subscribes then, and takes what it hears from there on."""
    run, put = Follower.run, RedisFeed._put

    async def running(self: Follower) -> None:
        subscribed, self._subscribed = self._subscribed, _at_once
        await run(self)
        await subscribed()

    def quietly(self: RedisFeed, signal: object) -> None:
        if self._tried.is_set():  # only what is lost later is looked for
            put(self, signal)  # type: ignore[arg-type]

    patch.setattr(Follower, "run", running)
    patch.setattr(RedisFeed, "_put", quietly)


def _ignore_the_epoch(patch: pytest.MonkeyPatch) -> None:
    """Only revisions count: what another lineage says is taken as if it were the copy's own."""
    take_change, take_heartbeat = Follower._take_change, Follower._take_heartbeat

    def change_taken(self: Follower, change: Change) -> None:
        copy = self._project.replica.copy
        if copy is not None and isinstance(change, UserChanged):
            change = replace(change, document=replace(change.document, epoch=copy.position.epoch))
        take_change(self, change)

    def heartbeat_taken(self: Follower, heartbeat: Heartbeat, arrival: Arrival) -> None:
        copy = self._project.replica.copy
        take_heartbeat(self, heartbeat if copy is None else replace(heartbeat, epoch=copy.position.epoch), arrival)

    patch.setattr(Follower, "_take_change", change_taken)
    patch.setattr(Follower, "_take_heartbeat", heartbeat_taken)


def _accept_an_older_document(patch: pytest.MonkeyPatch) -> None:
    """Documents are written at Redis whatever stands there."""

    def written(project: ProjectId, user: UserId, data: bytes, position: Position, seconds: int, mode: Mode) -> Command:
        return ("SET", keys.document(user, project), data)

    patch.setattr(redis_cache, "write_document", written)
    patch.setattr(cache_copy, "write_document", written)


def _accept_an_older_revision(patch: pytest.MonkeyPatch) -> None:
    """A sidecar takes a change that it has had, and stands where that one stands."""
    apply = Copy.apply

    def applied(self: Copy, change: Change) -> Applied:
        if isinstance(change, UserChanged) and change.position < self.position:
            self._replace(packed_entry(change.document, self.records.grants))
            self.position = change.position
            self.moves += 1
            return Applied.APPLIED
        return apply(self, change)

    patch.setattr(Copy, "apply", applied)


def _delete_instead_of_an_empty_document(patch: pytest.MonkeyPatch) -> None:
    """Whoever loses the last entitlement loses the document at Redis, too."""
    write = RedisCache._written

    def written(self: RedisCache, project: ProjectId, change: Change) -> Command:
        if isinstance(change, UserChanged) and not change.document.entitlements:
            return ("DEL", keys.document(change.document.user_id, project))
        return write(self, project, change)

    patch.setattr(RedisCache, "_written", written)


def _skip_the_digest(patch: pytest.MonkeyPatch) -> None:
    """At an equal position a copy is taken for proven."""

    def compared(self: Copy, position: Position, count: int, digest: int) -> Compared:
        if position != self.position or not self.consistent:
            return Compared.ELSEWHERE
        self.proof = Proof.MATCHED
        self.moves += 1
        return Compared.MATCHES

    patch.setattr(Copy, "compare", compared)


def _no_gap_check(patch: pytest.MonkeyPatch) -> None:
    """Any later revision is taken for the next one."""
    apply = Copy.apply

    def applied(self: Copy, change: Change) -> Applied:
        epoch, revision = change.position
        if epoch == self.position.epoch and revision > self.position.revision:
            self.position = Position(epoch, revision - 1)
        return apply(self, change)

    patch.setattr(Copy, "apply", applied)


def _trust_an_empty_log(patch: pytest.MonkeyPatch) -> None:
    """A change log that has nothing more says that there is nothing more."""
    fill = catchup.fill_from_log

    async def filled(
        log: ChangeLog, project: ProjectId, start: Position, apply: Apply, target: Position | None
    ) -> Filled:
        if not await log.changes(project, start, 1):
            return Filled.REACHED
        return await fill(log, project, start, apply, target)

    patch.setattr(repair, "fill_from_log", filled)


def _heartbeat_without_head(patch: pytest.MonkeyPatch) -> None:
    """A heartbeat says what is relayed for what is committed, and so needs no look at Postgres."""
    turn, beat = ProjectRelay.turn, ProjectRelay._send_heartbeat

    async def turned(self: ProjectRelay) -> bool:
        try:
            return await turn(self)
        except DATABASE_FAULTS:
            if self.next_heartbeat == 0.0:
                await sent(self, NOWHERE, self._clock.monotonic())
            raise

    async def sent(self: ProjectRelay, head: Position, read_at: float) -> None:
        await beat(self, head if self.position is None else self.position, read_at)

    patch.setattr(ProjectRelay, "turn", turned)
    patch.setattr(ProjectRelay, "_send_heartbeat", sent)


def _refill_without_its_token(patch: pytest.MonkeyPatch) -> None:
    """A refill that has come to its end says that Redis is whole, whatever happened to Redis meanwhile."""
    end = CacheCopy.end_refill

    async def ended(self: CacheCopy, project: ProjectId, token: str, standing: Standing) -> bool:
        await self.begin_refill(project, token)
        return await end(self, project, token, standing)

    patch.setattr(CacheCopy, "end_refill", ended)


def _two_relays_without_the_lease(patch: pytest.MonkeyPatch) -> None:
    """Every writer relays every project, and none of them asks whether it may."""
    renew = Leases.renew

    async def renewed(self: Leases) -> dict[int, Lease]:
        held, until = await renew(self), self._clock.monotonic() + LEASE_SECONDS
        heads = [head_of(row) for row in await relay_heads._ALL.run_alone(self._engine, {})]
        taken = {head.project_id: Lease(head.project_id, head.project, 0, head.position, until) for head in heads}
        return {**taken, **held}

    async def advanced(self: Leases, lease: Lease, position: Position) -> bool:
        return True

    patch.setattr(Leases, "renew", renewed)
    patch.setattr(Leases, "advance", advanced)


def _believe_an_unverified_copy(patch: pytest.MonkeyPatch) -> None:
    """A copy counts as complete once it is loaded."""
    patch.setattr(Copy, "complete", property(lambda self: True))


def _answer_for_whom_the_copy_lacks(patch: pytest.MonkeyPatch) -> None:
    """Whoever is not in a copy holds nothing, proven or not."""
    judge = check.check

    def judged(query: Any, copy: Copy | None, freshness: Freshness, now: Any) -> Any:
        if copy is None or copy.complete or query.user in copy.records:
            return judge(query, copy, freshness, now)
        return check.check_unknown(query, copy, freshness, now)

    patch.setattr(oracle, "check", judged)


def _install_what_was_loaded(patch: pytest.MonkeyPatch) -> None:
    """A copy that was loaded aside is answered from, better or not."""

    def installed(self: Replica, candidate: Copy) -> Installed:
        self.copy = candidate
        return Installed.INSTALLED

    patch.setattr(Replica, "install", installed)


def _count_age_from_arrival(patch: pytest.MonkeyPatch) -> None:
    """A heartbeat makes a copy current, wherever the copy stands."""
    patch.setattr(Freshness, "heard", lambda self, head, at: self.confirmed(at))


def _keep_the_epoch(patch: pytest.MonkeyPatch) -> None:
    """A restored database goes on in the epoch that it was saved in."""

    async def nothing(self: LineageKeeper) -> None:
        return None

    async def always(self: LineageKeeper, connection: AsyncConnection) -> bool:
        return True

    patch.setattr(LineageKeeper, "check", nothing)
    patch.setattr(LineageKeeper, "stands_on", always)


def _do_not_inspect(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks whether Redis still holds what it is said to hold."""

    async def look(self: Inspection, *, refilling: bool) -> None:
        return None

    patch.setattr(Inspection, "look", look)


async def _at_once() -> None:
    """There is nothing to wait for."""


BREAKS: Final[dict[str, Break]] = {
    one.__name__.removeprefix("_"): one
    for one in (
        _publish_before_commit,
        _snapshot_before_subscribe,
        _ignore_the_epoch,
        _accept_an_older_document,
        _accept_an_older_revision,
        _delete_instead_of_an_empty_document,
        _skip_the_digest,
        _no_gap_check,
        _trust_an_empty_log,
        _heartbeat_without_head,
        _refill_without_its_token,
        _two_relays_without_the_lease,
        _believe_an_unverified_copy,
        _answer_for_whom_the_copy_lacks,
        _install_what_was_loaded,
        _count_age_from_arrival,
        _keep_the_epoch,
        _do_not_inspect,
    )
}
"""By name, as `python -m tests.simulation --break NAME` takes them."""
