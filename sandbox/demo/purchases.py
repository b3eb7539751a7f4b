"""Chapter: a hundred purchases, one after the other, and how long each took to change the answer."""

import asyncio
from typing import Final

from sandbox.demo.world import BACK, World
from sandbox.propagation import Change, changed_by, percentile

PURCHASES: Final = 100
AT_ONCE: Final = 8
TARGET_MS: Final = 25


async def play(world: World) -> None:
    """Half of them subscriptions, half bought once."""
    report, notes = world.report, world.notes
    report.chapter(f"{PURCHASES} purchases: from webhook to changed answer")
    report.note(
        "The clock starts when the writer stores the webhook (its own note) and stops when the changed answer has "
        "come from the sidecar to this program: a question waits there for the next revision, nothing is polled."
    )
    users = [f"buyer-{number:03}" for number in range(PURCHASES)]
    sessions = await _opened(world, users)
    report.require(f"{len(sessions)} checkouts are open", len(sessions) == PURCHASES, f"{sessions}")
    count, seconds = await notes.sidecar.propagation()
    changes = [await _bought(world, user, session) for user, session in zip(users, sessions, strict=True)]
    timed = [change.milliseconds for change in changes if change.milliseconds is not None]
    report.require(
        f"All {len(timed)} paid, each answer changed to allowed",
        len(timed) == PURCHASES and all(change.answer["allowed"] for change in changes),
        f"{PURCHASES - len(timed)} were not timed",
    )
    later_count, later_seconds = await notes.sidecar.propagation()
    _tell(world, timed, (later_seconds - seconds) * 1000 / max(1, later_count - count))
    whole = percentile([change.since_cause for change in changes], 50)
    report.note(f"from the customer's click, Stripe's own work included: median {whole:.1f} ms")


def _tell(world: World, timed: list[float], own_mean: float) -> None:
    median, p90, p99 = (percentile(timed, percent) for percent in (50, 90, 99))
    verdict = "met" if median < TARGET_MS else "MISSED on this machine at this moment"
    world.report.note(f"median {median:.1f} ms   p90 {p90:.1f} ms   p99 {p99:.1f} ms   most {max(timed):.1f} ms")
    world.report.note(f"target: a median under {TARGET_MS} ms: {verdict}")
    mean = sum(timed) / len(timed)
    world.report.note(
        f"mean {mean:.1f} ms; the sidecar's own metric, which ends when the change is applied: {own_mean:.1f} ms"
    )


async def _opened(world: World, users: list[str]) -> list[str]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def opened(number: int, user: str) -> str:
        prices = world.notes.prices
        async with gate:
            price = prices.purchase if number % 2 else prices.subscription
            return str((await world.notes.writer.checkout(user, price, BACK))["session_id"])

    return list(await asyncio.gather(*(opened(number, user) for number, user in enumerate(users))))


async def _bought(world: World, user: str, session: str) -> Change:
    notes = world.notes
    price = "themes" if int(user.rpartition("-")[2]) % 2 else "export"
    return await changed_by(lambda: world.stack.stripe.pay(session), notes.sidecar, notes.writer, user, price)
