"""What a heartbeat says of a copy's age, as its follower takes it."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from common.clock import Instant
from common.position import Position
from common.wire import Heartbeat
from sidecar.catchup import Apply
from sidecar.follower import Follower
from sidecar.freshness import StalePolicy, State
from sidecar.inbox import Arrival, Inbox
from sidecar.metrics import Metrics
from sidecar.project import Project
from sidecar.repair import Needed
from sidecar.replica import Copy
from sidecar.sources import Source, UnavailableError
from tests.support.history import START, History, grant


class _Still:
    """A monotonic clock that stands where the test puts it."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> Instant:
        """Wall time."""
        return START

    def monotonic(self) -> float:
        """Seconds."""
        return self.at


class _Helpless:
    """Mends nothing."""

    async def fill(self, target: Position | None, apply: Apply) -> bool:
        """No source answers."""
        raise UnavailableError("nobody is there")

    async def load(self, reason: Needed, first: Source) -> None:
        """No source answers."""
        raise UnavailableError("nobody is there")


class _Following:
    """A follower at work on a proven copy that was current at 0."""

    def __init__(self, history: History) -> None:
        self.clock = _Still()
        self.project = Project(history.project, StalePolicy(stale_after=5))
        copy = Copy(history.project, history.catalogue, history.position)
        for document in history.documents.values():
            copy.hold(document)
        copy.compare(history.position, history.count, history.digest)
        self.project.install(copy, Source.WRITER, 0.0, 0.0)
        self.inbox = Inbox()
        self._follower = Follower(
            self.project, self.inbox, _Helpless(), _at_once, Metrics(), self.clock, Random(1)  # type: ignore[arg-type]
        )  # fmt: skip
        self.task = asyncio.create_task(self._follower.run())

    async def hear(self, at: float, beat: Heartbeat) -> None:
        """Have a heartbeat arrive from Redis."""
        self.clock.at = at
        self.inbox.put(Arrival(beat, Source.REDIS, at, START))
        await self.inbox.settled()

    def age(self) -> float:
        """The copy's age now."""
        return self.project.freshness.age(self.clock.at)


async def _at_once() -> None:
    """There is no subscription."""


def _beat(history: History, revision: int | None = None, epoch: int | None = None) -> Heartbeat:
    at = history.revision if revision is None else revision
    return Heartbeat(history.epoch if epoch is None else epoch, at, at, history.count, history.digest, START)


@pytest.fixture
def history() -> History:
    """Three revisions of epoch 7."""
    made = History(epoch=7)
    made.change("ann", grant())
    made.change("bob", grant())
    return made


@pytest.fixture
async def following(history: History) -> AsyncIterator[_Following]:
    """A follower of that history."""
    made = _Following(history)
    yield made
    made.task.cancel()
    await asyncio.gather(made.task, return_exceptions=True)


async def test_a_heartbeat_of_the_copys_head_renews_its_age(following: _Following, history: History) -> None:
    """The age counts from a heartbeat whose head the copy has."""
    await following.hear(10.0, _beat(history))
    assert following.age() == 0.0


async def test_a_heartbeat_of_an_older_epoch_vouches_for_nothing(following: _Following, history: History) -> None:
    """A relay of a lineage that was given up does not make a copy look current, nor Redis look alive, nor move it."""
    await following.hear(10.0, _beat(history, revision=99, epoch=6))
    assert following.age() == 10.0
    assert following.project.freshness.state(10.0) is State.STALE
    assert following.project.silent_in(Source.REDIS, 10.0) == 0.0
    assert following.project.head == history.position


async def test_a_heartbeat_behind_a_known_head_vouches_for_nothing(following: _Following, history: History) -> None:
    """What a paused relay says late is older than what is known: the age goes on counting."""
    await following.hear(10.0, _beat(history, revision=history.revision - 1))
    assert following.age() == 10.0
    await following.hear(11.0, _beat(history))
    assert following.age() == 0.0
