"""The rate limit of requests to Stripe."""

import asyncio
from itertools import pairwise

from tests.support.window_limiter import WindowLimiter
from writer.gateway.rate_limit import Urgency

WINDOW = 0.1


async def take(limiter: WindowLimiter, urgency: Urgency) -> None:
    """Wait for a turn and use it at once."""
    async with limiter.turn(urgency):
        pass


async def test_payers_do_not_wait_where_stripe_asked_for_less() -> None:
    """Background work waits; a payer who comes while it does passes it."""
    limiter, order = WindowLimiter(10, WINDOW), []
    limiter.slow_down(WINDOW)

    async def one(name: str, urgency: Urgency) -> None:
        async with limiter.turn(urgency):
            order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(one("sweep", Urgency.BACKGROUND))
        await asyncio.sleep(0)
        group.create_task(one("payer", Urgency.PAYER))
    assert order == ["payer", "sweep"]


async def test_no_window_holds_more_than_the_limit() -> None:
    """However many wait, no more than the limit pass within any window."""
    limiter, passed = WindowLimiter(4, WINDOW), []

    async def one() -> None:
        async with limiter.turn(Urgency.BACKGROUND):
            passed.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(one() for _ in range(14)))
    assert len(passed) == 14
    # What passed 4 places earlier is at least a window ago; loop time has a resolution.
    assert all(later - earlier > WINDOW - 0.005 for earlier, later in zip(passed, passed[4:], strict=False))
    assert all(earlier <= later for earlier, later in pairwise(passed))


async def test_payers_overtake_background_work() -> None:
    """Whoever waits for a payer passes before background work that waits longer."""
    limiter, order = WindowLimiter(1, WINDOW), []
    await take(limiter, Urgency.BACKGROUND)

    async def one(name: str, urgency: Urgency) -> None:
        async with limiter.turn(urgency):
            order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(one("sweep", Urgency.BACKGROUND))
        await asyncio.sleep(0)
        group.create_task(one("payer", Urgency.PAYER))
    assert order == ["payer", "sweep"]


async def test_who_gives_up_takes_no_turn() -> None:
    """A cancelled request leaves its turn to the next."""
    limiter = WindowLimiter(1, WINDOW)
    await take(limiter, Urgency.PAYER)
    gone = asyncio.create_task(take(limiter, Urgency.PAYER))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    async with asyncio.timeout(WINDOW * 20):
        await take(limiter, Urgency.BACKGROUND)
