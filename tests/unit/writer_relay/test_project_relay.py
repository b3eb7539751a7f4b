"""The relay's own decisions, turn by turn, with Redis and the outbox played by the test."""

from collections.abc import Callable, Sequence

import pytest
from prometheus_client import CollectorRegistry

from common.clock import Instant
from common.identifiers import ProjectId
from common.position import Position
from common.wire import Change, Heartbeat, UserChanged
from tests.support.history import PROJECT, START, History, grant
from writer.outbox import OutboxEntry
from writer.relay.backlog import Page, Start
from writer.relay.heads import Head, Standing
from writer.relay.lease import Lease
from writer.relay.metrics import RelayMetrics
from writer.relay.project_relay import BURST, Advanced, CacheFaultError, LeaseLostError, ProjectRelay, Published


class _World:
    """Clock, outbox, cursor and cache in one; `told` is what reached Redis, in order."""

    def __init__(self) -> None:
        self.seconds = 50.0
        self.history = History()
        self.entries: list[OutboxEntry] = []
        self.cursor = Position(0, 0)
        self.ours = True
        self.fault_after: int | None = None
        self.busy = self.slow = 0.0
        self.while_told: Callable[[], None] = lambda: None
        self.answer = Advanced.ADVANCED
        self.told: list[Change | Heartbeat] = []
        self.held: list[Standing] = []
        self.damage: list[str] = []
        self.relay = self._restart()

    def change(self, count: int) -> None:
        for number in range(count):
            message = self.history.change(f"user_{number}", grant())
            entry = OutboxEntry(message.position, message.document, self.history.count, self.history.digest, None)
            self.entries.append(entry)

    def restart(self) -> None:
        self.relay = self._restart()

    def _restart(self) -> ProjectRelay:
        lease = Lease(1, PROJECT, 1, self.cursor, self.seconds + 2.5)
        metrics = RelayMetrics(CollectorRegistry())
        return ProjectRelay(lease, self, _Cursor(self), _Cache(self), self, metrics, self.damage.append)

    def now(self) -> Instant:
        return START

    def monotonic(self) -> float:
        return self.seconds

    async def page(self, project_id: int, after: Position, limit: int) -> Page:
        following = [e for e in self.entries if e.position.epoch == after.epoch and e.position > after]
        return Page(self._head(), following[:limit])

    async def start(self, project_id: int, cursor: Position) -> Start:
        head = self._head()
        if cursor.epoch == head.position.epoch:
            return Start(cursor, None, logged=True)
        first = [e.position.revision for e in self.entries if e.position.epoch == head.position.epoch]
        at = Position(head.position.epoch, first[0] - 1 if first else head.position.revision)
        return Start(at, head.standing if at == head.position else None, logged=False)

    def _head(self) -> Head:
        return Head(1, PROJECT, Standing(self.history.position, self.history.count, self.history.digest))


class _Cursor:
    def __init__(self, world: _World) -> None:
        self._world = world

    async def advance(self, lease: Lease, position: Position) -> bool:
        if self._world.ours:
            self._world.cursor = max(self._world.cursor, position)
        return self._world.ours


class _Cache:
    def __init__(self, world: _World) -> None:
        self._world = world

    async def publish(self, project: ProjectId, changes: Sequence[Change]) -> Published:
        self._world.seconds += self._world.slow
        self._world.while_told()
        for change in changes:
            if self._world.fault_after is not None and len(self._world.told) >= self._world.fault_after:
                raise CacheFaultError("away")
            self._world.told.append(change)
        return Published()

    async def advance(self, project: ProjectId, behind: Position, standing: Standing) -> Advanced:
        self._world.held.append(standing)
        return self._world.answer

    async def heartbeat(self, project: ProjectId, heartbeat: Heartbeat, is_timely: Callable[[], bool]) -> None:
        self._world.seconds += self._world.busy
        if not is_timely():
            raise CacheFaultError("too late")
        self._world.told.append(heartbeat)


@pytest.fixture
def world() -> _World:
    """A project whose catalogue was relayed before."""
    made = _World()
    made.cursor = made.history.position
    made.restart()
    return made


def _revisions(world: _World) -> list[int]:
    return [message.position.revision for message in world.told if isinstance(message, UserChanged)]


async def test_a_fault_midway_keeps_the_cursor_and_is_tried_again(world: _World) -> None:
    """What was told before Redis went away is told again, the rest follows, and nothing is left out."""
    world.change(5)
    world.fault_after = 3
    with pytest.raises(CacheFaultError):
        await world.relay.turn()
    assert world.cursor.revision == 1
    world.fault_after = None
    await world.relay.turn()
    assert _revisions(world) == [2, 3, 4, 2, 3, 4, 5, 6]
    assert world.cursor.revision == 6


async def test_a_new_process_goes_on_from_the_cursor(world: _World) -> None:
    """What the cursor covers is not told again."""
    world.change(3)
    await world.relay.turn()
    world.restart()
    world.change(1)
    await world.relay.turn()
    assert _revisions(world) == [2, 3, 4, 5]


async def test_nothing_is_told_after_the_lease_ran_out(world: _World) -> None:
    """By its own clock the holder stops, before it looks and before it writes."""
    world.change(1)
    world.seconds += 2.5
    with pytest.raises(LeaseLostError):
        await world.relay.turn()
    assert world.told == []


async def test_a_lost_lease_ends_the_relay(world: _World) -> None:
    """When the cursor does not move because of another owner, the relay ends."""
    world.change(1)
    world.ours = False
    with pytest.raises(LeaseLostError):
        await world.relay.turn()


async def test_a_heartbeat_stands_at_what_was_relayed(world: _World) -> None:
    """Revision, count and digest are of the last relayed revision; at most one a second."""
    world.change(4)
    await world.relay.turn()
    await world.relay.turn()
    beats = [message for message in world.told if isinstance(message, Heartbeat)]
    assert [(beat.revision, beat.head, beat.count, beat.digest) for beat in beats] == [(5, 5, 4, world.history.digest)]
    assert world.told[-1] is beats[0]
    world.seconds += 1.0
    await world.relay.turn()
    assert isinstance(world.told[-1], Heartbeat)
    assert len(world.told) == 6


async def test_a_heartbeat_that_had_to_wait_is_not_sent(world: _World) -> None:
    """What was committed when the relay looked is no news once Redis lets it speak: it looks again, and says that."""
    world.change(1)
    world.busy = 0.6
    with pytest.raises(CacheFaultError):
        await world.relay.turn()
    world.change(1)
    world.busy = 0.0
    await world.relay.turn()
    assert [(beat.revision, beat.head) for beat in world.told if isinstance(beat, Heartbeat)] == [(3, 3)]


async def test_a_head_that_was_read_long_ago_is_read_again(world: _World) -> None:
    """Where relaying took its time, the heartbeat tells of what was committed meanwhile."""
    world.change(BURST + 1)
    world.slow = 0.4
    world.while_told = lambda: world.change(1) if not world.told else None
    await world.relay.turn()
    beats = [beat for beat in world.told if isinstance(beat, Heartbeat)]
    assert [(beat.revision, beat.head) for beat in beats] == [(BURST + 2, BURST + 3)]


async def test_a_heartbeat_is_withheld_while_nothing_is_known(world: _World) -> None:
    """At a cursor whose outbox row is gone, nobody can say the digest; the next revision can."""
    await world.relay.turn()
    assert world.told == []
    world.seconds += 1.0
    world.change(1)
    await world.relay.turn()
    assert [type(message) for message in world.told] == [UserChanged, Heartbeat]


async def test_a_new_epoch_is_followed_from_its_beginning(world: _World) -> None:
    """Revisions of the old epoch that were not relayed are passed over: the refill brings what is left of them."""
    await world.relay.turn()
    world.change(2)
    world.history.raise_epoch()
    world.change(2)
    assert await world.relay.turn()
    await world.relay.turn()
    assert [message.position for message in world.told if isinstance(message, UserChanged)] == [(2, 4), (2, 5)]


async def test_a_backlog_is_told_in_bursts(world: _World) -> None:
    """Redis is told what it holds after each burst, so that a crash repeats little."""
    world.change(BURST * 2 + 7)
    await world.relay.turn()
    assert [standing.position.revision - 1 for standing in world.held] == [BURST, BURST * 2, BURST * 2 + 7]


@pytest.mark.parametrize("missing", [slice(0, 1), slice(1, 2), slice(0, 4)])
async def test_missing_revisions_are_reported_and_passed_over(world: _World, missing: slice) -> None:
    """A gap in the outbox, which nobody should make, is damage to be refilled, not an endless wait."""
    world.change(4)
    del world.entries[missing]
    await world.relay.turn()
    assert world.damage == ["gap in the outbox"]
    assert world.cursor == world.history.position


@pytest.mark.parametrize(("answer", "damage"), [
    (Advanced.ADVANCED, []),
    (Advanced.AHEAD, []),
    (Advanced.MISSING, ["Redis is missing"]),
    (Advanced.BEHIND, ["Redis is behind"]),
])  # fmt: skip
async def test_a_redis_that_lost_something_is_damage(world: _World, answer: Advanced, damage: list[str]) -> None:
    """Redis that does not hold what we continue is refilled; one that is further needs nothing."""
    world.answer = answer
    world.change(1)
    await world.relay.turn()
    assert world.damage == damage
