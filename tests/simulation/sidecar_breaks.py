"""The sidecar broken on purpose. Each breaks one rule while it is applied."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from common.identifiers import ProjectId
from common.position import Position
from common.wire import Change, Heartbeat, UserChanged
from sidecar import catchup, check, repair
from sidecar.catchup import Apply, ChangeLog, Filled
from sidecar.follower import Follower
from sidecar.freshness import Freshness
from sidecar.inbox import Arrival, Signal
from sidecar.packing import packed_entry
from sidecar.redis_feed import RedisFeed
from sidecar.repair import Needed, Repair
from sidecar.replica import Applied, Compared, Copy, Installed, Proof, Replica
from sidecar.sources import Source
from tests.simulation import oracle
from tests.simulation.processes import PROCESS


def snapshot_before_subscribe(patch: pytest.MonkeyPatch) -> None:
    """A sidecar loads first and subscribes then, and takes what it hears from there on."""
    follow, load, restore, feed, put = Follower.run, Repair.load, Repair.restore, RedisFeed.run, RedisFeed._put

    def has_loaded() -> asyncio.Event:
        event: asyncio.Event = PROCESS.get().notes.setdefault("loaded", asyncio.Event())
        return event

    async def following(self: Follower) -> None:
        self._subscribed = _at_once
        await follow(self)

    async def loading(self: Repair, reason: Needed, first: Source) -> None:
        await load(self, reason, first)
        has_loaded().set()

    async def restoring(self: Repair) -> bool:
        restored = await restore(self)
        if restored:
            has_loaded().set()
        return restored

    async def feeding(self: RedisFeed) -> None:
        await has_loaded().wait()
        await feed(self)

    def quietly(self: RedisFeed, signal: Signal) -> None:
        if self._tried.is_set():  # only what is lost later is looked for
            put(self, signal)

    patch.setattr(Follower, "run", following)
    patch.setattr(Repair, "load", loading)
    patch.setattr(Repair, "restore", restoring)
    patch.setattr(RedisFeed, "run", feeding)
    patch.setattr(RedisFeed, "_put", quietly)


def ignore_the_epoch(patch: pytest.MonkeyPatch) -> None:
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


def accept_an_older_revision(patch: pytest.MonkeyPatch) -> None:
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


def skip_the_digest(patch: pytest.MonkeyPatch) -> None:
    """At an equal position a copy is taken for proven."""

    def compared(self: Copy, position: Position, count: int, digest: int) -> Compared:
        if position != self.position or not self.consistent:
            return Compared.ELSEWHERE
        self.proof = Proof.MATCHED
        self.moves += 1
        return Compared.MATCHES

    patch.setattr(Copy, "compare", compared)


def no_gap_check(patch: pytest.MonkeyPatch) -> None:
    """Any later revision is taken for the next one."""
    apply = Copy.apply

    def applied(self: Copy, change: Change) -> Applied:
        epoch, revision = change.position
        if epoch == self.position.epoch and revision > self.position.revision:
            self.position = Position(epoch, revision - 1)
        return apply(self, change)

    patch.setattr(Copy, "apply", applied)


def trust_an_empty_log(patch: pytest.MonkeyPatch) -> None:
    """A change log that has nothing more says that there is nothing more."""
    fill = catchup.fill_from_log

    async def filled(
        log: ChangeLog, project: ProjectId, start: Position, apply: Apply, target: Position | None
    ) -> Filled:
        if not await log.changes(project, start, 1):
            return Filled.REACHED
        return await fill(log, project, start, apply, target)

    patch.setattr(repair, "fill_from_log", filled)


def believe_an_unverified_copy(patch: pytest.MonkeyPatch) -> None:
    """A copy counts as complete once it is loaded."""
    patch.setattr(Copy, "complete", property(lambda self: True))


def answer_for_whom_the_copy_lacks(patch: pytest.MonkeyPatch) -> None:
    """Whoever is not in a copy holds nothing, proven or not."""
    judge = check.check

    def judged(query: Any, copy: Copy | None, freshness: Freshness, now: Any) -> Any:
        if copy is None or copy.complete or query.user in copy.records:
            return judge(query, copy, freshness, now)
        return check.check_unknown(query, copy, freshness, now)

    patch.setattr(oracle, "check", judged)


def install_what_was_loaded(patch: pytest.MonkeyPatch) -> None:
    """A copy that was loaded aside is answered from, better or not."""

    def installed(self: Replica, candidate: Copy) -> Installed:
        self.copy = candidate
        return Installed.INSTALLED

    patch.setattr(Replica, "install", installed)


def count_age_from_arrival(patch: pytest.MonkeyPatch) -> None:
    """A heartbeat makes a copy current, wherever the copy stands."""
    patch.setattr(Freshness, "heard", lambda self, head, at: self.confirmed(at))


async def _at_once() -> None:
    """There is nothing to wait for."""
