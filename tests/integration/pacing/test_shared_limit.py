"""All writers together keep STRIPE_MAX_RPS: by slots in Postgres, payers first."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from common.settings import Secret
from sandbox.stripe.server import Options, StripeStandIn
from tests.support.postgres import StartPostgres, migrate
from tests.support.waiting import until
from writer.db.engine import create_engine
from writer.gateway.errors import StripeUnavailableError, UnpacedError
from writer.gateway.rate_limit import Urgency
from writer.gateway.shared_rate_limit import SharedLimiter
from writer.settings import DatabaseSettings

HAMMER = Path(__file__).with_name("hammer.py")

OpenLimiter = Callable[[int], Awaitable[SharedLimiter]]


@pytest.fixture
async def open_limiter(database_url: str) -> AsyncIterator[OpenLimiter]:
    """Give another writer, whose STRIPE_MAX_RPS is the number, and connections of its own."""
    async with AsyncExitStack() as stack:

        async def open_one(max_rps: int) -> SharedLimiter:
            engine = create_engine(DatabaseSettings(Secret(database_url), None, 3, 30, 10, 30))
            stack.push_async_callback(engine.dispose)
            return await stack.enter_async_context(SharedLimiter(engine, max_rps))

        yield open_one


def most_within_a_second(arrivals: Sequence[float]) -> int:
    """The most arrivals that any window of one second holds, wherever it begins."""
    return max(sum(begin <= one < begin + 1.0 for one in arrivals) for begin in arrivals)


async def use(limiter: SharedLimiter, urgency: Urgency, seconds: float = 0.0) -> None:
    """Take a turn, and be busy with it for a while."""
    async with limiter.turn(urgency):
        await asyncio.sleep(seconds)


async def test_three_processes_stay_within_the_limit(database_url: str) -> None:
    """Three processes that ask as fast as they may: in no second does Stripe count more requests than the limit."""
    limit, each = 8, 12
    async with StripeStandIn(Options()) as standin:
        hammers = [
            await asyncio.create_subprocess_exec(
                sys.executable, str(HAMMER), database_url, standin.url, str(limit), str(each)
            )
            for _ in range(3)
        ]
        assert await asyncio.gather(*(hammer.wait() for hammer in hammers)) == [0, 0, 0]
        arrivals = [arrived for _, _, arrived in standin.requests]
    assert len(arrivals) == 3 * each
    assert most_within_a_second(arrivals) <= limit


async def test_a_request_counts_until_it_is_answered(open_limiter: OpenLimiter) -> None:
    """It may arrive at any moment of its turn: at the worst late, and the next of its slot early."""
    limiter = await open_limiter(3)
    turns: list[tuple[float, float]] = []
    time = asyncio.get_running_loop().time

    async def one() -> None:
        async with limiter.turn(Urgency.BACKGROUND):
            began = time()
            await asyncio.sleep(0.3)
            turns.append((began, time()))

    await asyncio.gather(*(one() for _ in range(7)))
    for began, _ in turns:
        assert sum(began - 1.0 < ended <= began for _, ended in turns) < 3


async def test_what_is_never_answered_blocks_its_slot_for_a_while_only(open_limiter: OpenLimiter) -> None:
    """A writer that dies with a request under way, or Stripe hanging, leaves the slot to others."""
    dead, living = await open_limiter(1), await open_limiter(1)
    stuck = asyncio.create_task(use(dead, Urgency.BACKGROUND, 60))
    await until(lambda: dead.waiting(Urgency.BACKGROUND) == 0)
    async with asyncio.timeout(10):
        await use(living, Urgency.BACKGROUND)
    stuck.cancel()


async def test_each_obeys_its_own_setting(open_limiter: OpenLimiter) -> None:
    """A writer that may send one request a second takes one of the slots that another's five made."""
    many, one = await open_limiter(5), await open_limiter(1)
    await asyncio.gather(*(use(many, Urgency.BACKGROUND) for _ in range(4)))
    await use(one, Urgency.BACKGROUND)
    look = await one._slots.take(0, 5)
    assert look.taken == []


async def test_a_payer_anywhere_goes_before_background_work_everywhere(open_limiter: OpenLimiter) -> None:
    """While a payer waits at one writer, another writer's backlog takes no slot."""
    busy, other = await open_limiter(1), await open_limiter(1)
    order: list[str] = []

    async def one(limiter: SharedLimiter, urgency: Urgency) -> None:
        async with limiter.turn(urgency):
            order.append(urgency.name)

    await use(busy, Urgency.BACKGROUND)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(one(busy, Urgency.BACKGROUND))
        await until(lambda: busy.waiting(Urgency.BACKGROUND) == 3)
        group.create_task(one(other, Urgency.PAYER))
    assert order == ["PAYER", "BACKGROUND", "BACKGROUND", "BACKGROUND"]


async def test_a_slow_down_holds_back_every_writers_background_work(open_limiter: OpenLimiter) -> None:
    """One writer meets a 429; another one's background work waits, its payers do not."""
    limited, other = await open_limiter(5), await open_limiter(5)
    await use(limited, Urgency.PAYER)
    limited.slow_down(1.0)
    await until(lambda: limited._slow_down == 0.0 and limited._work is not None and limited._work.done())
    waiting = asyncio.create_task(use(other, Urgency.BACKGROUND))
    await until(lambda: other.waiting(Urgency.BACKGROUND) == 1)
    await use(other, Urgency.PAYER)
    assert not waiting.done()
    await waiting


async def test_who_gives_up_leaves_the_turn_to_the_next(open_limiter: OpenLimiter) -> None:
    """A cancelled request holds no slot, whether it waited or had just been given its turn."""
    limiter = await open_limiter(2)
    for _ in range(20):
        gone = [asyncio.create_task(use(limiter, Urgency.PAYER)) for _ in range(3)]
        await until(lambda: limiter.waiting(Urgency.PAYER) < 3)
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
    async with asyncio.timeout(10):
        await use(limiter, Urgency.BACKGROUND)


async def test_without_the_database_nothing_is_sent(postgres_server: StartPostgres) -> None:
    """Nobody knows what others sent: the caller is told at once, and turns are given again once it is back."""
    server = await postgres_server()
    migrate(server.url)
    engine = create_engine(DatabaseSettings(Secret(server.url), None, 3, 30, 5, 30))
    async with SharedLimiter(engine, 5) as limiter:
        await use(limiter, Urgency.PAYER)
        await server.stop()
        sent = asyncio.create_task(use(limiter, Urgency.PAYER))
        with pytest.raises(UnpacedError) as caught:
            await sent
        assert isinstance(caught.value, StripeUnavailableError)
        assert caught.value.repeatable
        await server.start()
        await use(limiter, Urgency.PAYER)
    await engine.dispose()


async def test_slots_that_are_gone_are_made_again(open_limiter: OpenLimiter) -> None:
    """A database restored from a backup may hold none."""
    limiter = await open_limiter(2)
    await use(limiter, Urgency.PAYER)
    async with limiter._slots._engine.connect() as connection:
        await connection.execute(text("DELETE FROM stripe_slots"))
        await connection.execute(text("DELETE FROM stripe_pace"))
    async with asyncio.timeout(10):
        await use(limiter, Urgency.BACKGROUND)


async def test_a_clock_that_was_set_back_blocks_nothing(open_limiter: OpenLimiter) -> None:
    """What was taken at a time that is far in the future counts as free."""
    limiter = await open_limiter(2)
    await use(limiter, Urgency.PAYER)
    async with limiter._slots._engine.connect() as connection:
        await connection.execute(text("UPDATE stripe_slots SET left_at = now() + interval '1 hour'"))
    async with asyncio.timeout(10):
        await use(limiter, Urgency.PAYER)
