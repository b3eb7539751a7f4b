"""How long it takes from a webhook's arrival at the writer until an app's own sidecar answers differently.

The end is seen from outside: a question is already waiting at the sidecar (`min_revision` of the next revision), and
the moment its changed answer is here is the end. So nothing is polled while the time runs. The beginning is
the writer's own note, made as it stores the webhook and read from its changes afterwards. Both by this machine's clock.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sandbox.clients import CallError, Json, Sidecar, Writer

CHANGE_TIMEOUT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A changed answer, and when it was here (Unix seconds)."""

    before: Json
    answer: Json
    at: float


@dataclass(frozen=True, slots=True)
class Change:
    """A changed answer, and how long it took."""

    answer: Json
    milliseconds: float | None
    """From the webhook's arrival at the writer; None where nothing came from outside."""
    since_cause: float
    """From the call that caused all of it, such as the customer's payment. Milliseconds, too."""


async def changed_by(
    cause: Callable[[], Awaitable[object]], sidecar: Sidecar, writer: Writer, user: str, feature: str
) -> Change:
    """Do `cause`, wait until `allowed` is another than before, and tell how long that took.

    Raises:
        TimeoutError: the answer stayed as it was.
    """
    before = await sidecar.check(user, feature)
    wanted = not before["allowed"]
    waiting = asyncio.ensure_future(until(lambda answer: answer["allowed"] is wanted, before, sidecar))
    try:
        await asyncio.sleep(0)  # the question goes out first
        began = time.time()
        await cause()
        async with asyncio.timeout(CHANGE_TIMEOUT_S):
            seen = await waiting
    finally:
        waiting.cancel()
    return Change(seen.answer, await milliseconds(seen, writer), (seen.at - began) * 1000)


async def until(holds: Callable[[Json], bool], before: Json, sidecar: Sidecar) -> Seen:
    """Wait for the first answer after `before` for which `holds`."""
    async for seen in changes_of(before, sidecar):
        if holds(seen.answer):
            return seen
    raise AssertionError("changes end never")


async def changes_of(before: Json, sidecar: Sidecar) -> AsyncIterator[Seen]:
    """Every answer to the question of `before` at a later revision, as soon as the sidecar has it. It ends never."""
    while True:
        following = f"{before['epoch']}.{before['revision'] + 1}"
        answer = await sidecar.check(before["user_id"], before["feature"], following)
        at = time.time()
        if not answer.get("behind"):  # nothing new for as long as an answer may wait
            yield Seen(before, answer, at)
            before = answer


async def milliseconds(seen: Seen, writer: Writer) -> float | None:
    """From the webhook's arrival until the answer was here; None where the writer names no arrival."""
    epoch, after = seen.answer["epoch"], seen.before["revision"]
    if seen.before["epoch"] != epoch:
        after = 0
    try:
        messages = await writer.changes(epoch, after)
    except CallError:
        return None
    arrivals = [message["received_at"] for message in messages if _is_cause(message, seen.answer)]
    if not arrivals or arrivals[-1] is None:
        return None
    return (seen.at - datetime.fromisoformat(arrivals[-1]).timestamp()) * 1000


def _is_cause(message: Json, answer: Json) -> bool:
    return bool(
        message["op"] == "user"
        and message["document"]["user_id"] == answer["user_id"]
        and message["revision"] <= answer["revision"]
    )


def percentile(values: list[float], percent: int) -> float:
    """The smallest value that at least `percent` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
