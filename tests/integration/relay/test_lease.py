"""One writer relays a project at a time, on the database's clock (invariant 5)."""

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import Instant, SystemClock
from common.position import Position
from tests.support.history import grant
from tests.support.ledger import Ledger
from tests.support.relaying import StartRelay, Subscriber
from tests.support.waiting import until
from writer.relay.lease import LEASE_SECONDS, Lease, Leases

CLOCK = SystemClock()


class _FrozenClock:
    """A clock whose monotonic part the test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> Instant:
        return CLOCK.now()

    def monotonic(self) -> float:
        return self.seconds


async def _only(leases: Leases) -> Lease:
    (lease,) = (await leases.renew()).values()
    return lease


async def _expire(ledger: Ledger) -> None:
    await ledger.query("UPDATE relay_leases SET expires_at = now() - interval '1 millisecond'")


async def test_a_lease_has_one_owner(ledger: Ledger, engine: AsyncEngine) -> None:
    """While one writer's lease lasts, no other gets it; not even one with the same instance name."""
    first, second = Leases(engine, "writer", CLOCK), Leases(engine, "writer", CLOCK)
    assert (await _only(first)).fence == 1
    assert await second.renew() == {}
    assert (await _only(first)).fence == 1


async def test_a_lease_that_ran_out_is_taken_over_with_a_higher_fence(ledger: Ledger, engine: AsyncEngine) -> None:
    """The new owner's fence is higher, and the old one neither renews nor moves the cursor any more."""
    first, second = Leases(engine, "first", CLOCK), Leases(engine, "second", CLOCK)
    old = await _only(first)
    assert await first.advance(old, Position(5, 7))
    await _expire(ledger)
    new = await _only(second)
    assert (new.fence, new.cursor) == (old.fence + 1, Position(5, 7))
    assert await first.renew() == {}
    assert not await first.advance(old, Position(5, 8))
    assert (await _only(second)).cursor == Position(5, 7)


async def test_the_cursor_never_goes_back(ledger: Ledger, engine: AsyncEngine) -> None:
    """An older position leaves it where it is; a newer epoch is newer whatever its revision."""
    leases = Leases(engine, "writer", CLOCK)
    lease = await _only(leases)
    for position, expected in [((5, 7), (5, 7)), ((5, 6), (5, 7)), ((4, 9), (5, 7)), ((6, 1), (6, 1))]:
        assert await leases.advance(lease, Position(*position))
        assert (await _only(leases)).cursor == expected


async def test_a_released_lease_is_free_at_once(ledger: Ledger, engine: AsyncEngine) -> None:
    """After an orderly shutdown the next writer need not wait."""
    first, second = Leases(engine, "first", CLOCK), Leases(engine, "second", CLOCK)
    await _only(first)
    await first.release()
    assert (await _only(second)).fence == 2


async def test_a_new_project_gets_its_lease_by_itself(ledger: Ledger, engine: AsyncEngine) -> None:
    """Projects that are added later are leased with the next renewal, all in one statement."""
    leases = Leases(engine, "writer", CLOCK)
    await leases.renew()
    other = await Ledger.open(engine, "other")
    assert {lease.project for lease in (await leases.renew()).values()} == {ledger.project, other.project}


async def test_the_holder_stops_before_the_database_would_let_another_in(ledger: Ledger, engine: AsyncEngine) -> None:
    """A holder counts from before it asked, on its own clock, and less than the lease lasts."""
    clock = _FrozenClock()
    lease = await _only(Leases(engine, "writer", clock))
    assert clock.monotonic() < lease.until < clock.monotonic() + LEASE_SECONDS


async def test_another_writer_goes_on_where_one_stopped(
    ledger: Ledger, redis: Redis, redis_url: str, start_relay: StartRelay
) -> None:
    """Two writers run; when the one that relays stops, the other relays the rest, gaplessly."""
    async with Subscriber(redis_url, ledger.project) as subscriber:
        first = await start_relay("first")
        await until(lambda: bool(subscriber.heartbeats))
        second = await start_relay("second")
        await ledger.change("ada", grant())
        await until(lambda: subscriber.reached(1))
        await first.stop()
        await ledger.change("ada")
        await ledger.change("bob", grant())
        await until(lambda: subscriber.reached(3))
        # The first may have been stopped between telling a revision and noting it: then it is told twice.
        assert list(dict.fromkeys(message.position.revision for message in subscriber.changes)) == [1, 2, 3]
        await until(lambda: second.sample("billing_relay_leases") == 1)


async def test_a_killed_writers_lease_runs_out(ledger: Ledger, redis_url: str, start_relay: StartRelay) -> None:
    """A holder that vanished without a word is followed once its lease has run out."""
    engine = ledger.engine
    vanished = Leases(engine, "vanished", CLOCK)
    await vanished.renew()
    async with Subscriber(redis_url, ledger.project) as subscriber:
        await start_relay()
        await ledger.change("ada", grant())
        await until(lambda: subscriber.reached(1))
    assert await vanished.renew() == {}
