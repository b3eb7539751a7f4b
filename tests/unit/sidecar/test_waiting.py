"""Waiting: for a revision, for arrivals, between attempts; and tasks that come back."""

import asyncio
import logging
from random import Random

import pytest

from common.background import Tasks, supervise
from common.backoff import Backoff
from common.clock import Instant
from common.document import Document
from common.identifiers import ProjectId, UserId
from common.position import Position
from sidecar.arrivals import Arrivals
from sidecar.asking import Asker
from sidecar.inbox import Arrival, Inbox, Signal
from sidecar.metrics import Metrics
from sidecar.sources import Source, UnavailableError


async def test_a_waiter_is_woken_at_its_position_or_beyond() -> None:
    """Those whose position is reached wake, the others wait on."""
    arrivals = Arrivals()
    near = asyncio.create_task(arrivals.wait(Position(1, 5), 10))
    far = asyncio.create_task(arrivals.wait(Position(1, 9), 10))
    await asyncio.sleep(0)
    arrivals.reached(Position(1, 4))
    arrivals.reached(Position(1, 6))
    assert await near
    assert not far.done()
    arrivals.reached(Position(2, 1))
    assert await far


async def test_a_wait_ends_in_time_and_leaves_nothing() -> None:
    """Who gave up, or was cancelled, is not kept."""
    arrivals = Arrivals()
    assert not await arrivals.wait(Position(1, 5), 0.001)
    task = asyncio.create_task(arrivals.wait(Position(1, 5), 10))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not arrivals._waiting


async def test_thousands_who_give_up_do_not_walk_through_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgetting them takes work in proportion to their number, not to its square: nobody else is held up."""
    walked = 0

    def heapify(waiting: list[object]) -> None:
        nonlocal walked
        walked += len(waiting)

    arrivals = Arrivals()
    tasks = [asyncio.create_task(arrivals.wait(Position(1, number), 60)) for number in range(2_000)]
    await asyncio.sleep(0)
    monkeypatch.setattr("sidecar.arrivals.heapq.heapify", heapify)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not arrivals._waiting
    assert walked <= 2 * len(tasks)


def test_waits_grow_to_a_bound_and_are_spread() -> None:
    """Each wait lies between half its step and the step; steps double to the bound; a reset begins small."""
    backoff = Backoff(Random(7), first=1.0, most=4.0)
    for step in (1.0, 2.0, 4.0, 4.0):
        assert step / 2 <= backoff.wait() <= step
    backoff.reset()
    assert backoff.wait() <= 1.0


async def test_a_full_inbox_drops_what_comes_and_counts_it() -> None:
    """The first ones stay, in order; the dropped ones will show as a gap."""
    inbox = Inbox(most=2)
    arrivals = [Arrival(Signal.CONNECTED, Source.REDIS, float(at), Instant(0)) for at in range(3)]
    for arrival in arrivals:
        inbox.put(arrival)
    assert inbox.dropped == 1
    assert await inbox.get(1.0) is arrivals[0]
    assert inbox.get_waiting() is arrivals[1]
    assert inbox.get_waiting() is None
    assert await inbox.get(0.001) is None


async def test_an_inbox_is_settled_when_everything_was_handled() -> None:
    """`settled` waits for the last `done`."""
    inbox = Inbox()
    inbox.put(Arrival(Signal.AHEAD, Source.WRITER, 0.0, Instant(0)))
    settled = asyncio.create_task(inbox.settled())
    await inbox.get(1.0)
    await asyncio.sleep(0)
    assert not settled.done()
    inbox.done()
    await settled


async def test_a_crashed_task_is_logged_counted_and_restarted(caplog: pytest.LogCaptureFixture) -> None:
    """Two crashes, two counts, and the third run ends it."""
    runs: list[int] = []
    crashes: list[str] = []

    async def fragile() -> None:
        runs.append(1)
        if len(runs) < 3:
            raise RuntimeError("as planned")

    with caplog.at_level(logging.ERROR):
        await supervise("follower shop", fragile, crashes.append, Random(1))
    assert (len(runs), crashes) == (3, ["follower shop"] * 2)
    assert "as planned" in caplog.text


async def test_a_task_that_swallows_its_end_is_told_again() -> None:
    """A library may eat a cancellation; stopping still ends."""
    swallowed = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            swallowed.set()
        await asyncio.sleep(60)

    tasks = Tasks(lambda name: None, Random(1))
    tasks.start("stubborn", stubborn)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await tasks.stop()
    assert swallowed.is_set()


class Scripted:
    """A writer that fails as often as it is told to."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.asked = 0

    async def document(self, project: ProjectId, user: UserId) -> Document:
        """A failure, or an empty document."""
        self.asked += 1
        await asyncio.sleep(0)
        if self.asked <= self.failures:
            raise UnavailableError("as planned")
        return Document(user, project, 1, 1, Instant(0), ())


class HandClock:
    """A clock that a test moves."""

    seconds = 0.0

    def now(self) -> Instant:
        """Not asked for here."""
        return Instant(0)

    def monotonic(self) -> float:
        """What the test says."""
        return self.seconds


async def test_after_a_failure_the_writer_rests_and_is_then_asked_again() -> None:
    """Many waiters share one failure; for a second nobody asks; then the next one is answered."""
    origin, clock = Scripted(failures=1), HandClock()
    asker = Asker(origin, Metrics(), clock)
    project, user = ProjectId("shop"), UserId("ann")
    shared = await asyncio.gather(*[asker.ask(project, user) for _ in range(5)], return_exceptions=True)
    assert all(isinstance(outcome, UnavailableError) for outcome in shared)
    with pytest.raises(UnavailableError, match="just failed"):
        await asker.ask(project, user)
    assert origin.asked == 1
    clock.seconds = 2.0
    assert (await asker.ask(project, user)).user_id == "ann"
    assert origin.asked == 2
    await asker.close()


async def test_without_a_writer_nobody_is_asked() -> None:
    """WRITER_URL unset is an answer of its own."""
    with pytest.raises(UnavailableError, match="WRITER_URL"):
        await Asker(None, Metrics(), HandClock()).ask(ProjectId("shop"), UserId("ann"))
