"""What the writer made of it, read from its database and its metrics."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import asyncpg
from prometheus_client.parser import text_string_to_metric_families

from sandbox.stack import Stack

POLL_SECONDS: Final = 0.1
DIGITS: Final = 6
"""Of a subscription's number in its run."""

PATIENCE_SECONDS: Final = 300.0


class UnfinishedError(Exception):
    """The writer did not come to the end of its work, or to the wrong one."""


class Ledger:
    """One connection to the stack's Postgres, beside the writer's own."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    async def opened(cls, stack: Stack) -> "Ledger":
        """Connect."""
        return cls(await asyncpg.connect(stack.postgres.url))

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()

    async def until_settled(self, *, within: float = PATIENCE_SECONDS) -> float:
        """Wait until no event is pending; when that was (`perf_counter`). UnfinishedError: not in time, or parked."""
        deadline = time.perf_counter() + within
        while await self._connection.fetchval(_PENDING):
            if time.perf_counter() > deadline:
                raise UnfinishedError(f"events are still pending after {within:.0f} s")
            await asyncio.sleep(POLL_SECONDS)
        ended = time.perf_counter()
        if parked := await self._connection.fetch(_PARKED):
            raise UnfinishedError(f"parked: {[dict(row) for row in parked]}")
        return ended

    async def expect_subscribers(self, run: str, count: int, *, leaving: bool) -> None:
        """UnfinishedError unless the run's subscriptions ended in their last version, and all of them grant."""
        # By their whole length: a random id may begin like a run's.
        right = await self._connection.fetchval(_RIGHT, f"sub\\_{run}{'_' * DIGITS}", leaving)
        if right != count:
            raise UnfinishedError(f"{right} of {count} subscriptions are as Stripe last said")

    async def revisions(self) -> int:
        """Revisions given to documents so far, in all projects."""
        return int(await self._connection.fetchval("SELECT count(*) FROM entitlement_history"))

    async def outcomes(self) -> Mapping[str, int]:
        """Stored events by status."""
        rows = await self._connection.fetch("SELECT status, count(*) FROM webhook_events GROUP BY status")
        return {row["status"]: row["count"] for row in rows}


async def counted(stack: Stack, name: str) -> float:
    """The sum of a counter of the writer, over all its labels."""
    async with stack.session.get(f"{stack.writer_url}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
        return sum(
            sample.value for family in families for sample in family.samples if sample.name in {name, f"{name}_total"}
        )


_PENDING: Final = "SELECT EXISTS (SELECT FROM webhook_events WHERE status = 'pending')"

_PARKED: Final = "SELECT id, type, last_error FROM webhook_events WHERE status = 'parked' LIMIT 5"

_RIGHT: Final = """
SELECT count(*) FROM subscriptions s
WHERE s.id LIKE $1 AND s.cancel_at_period_end = $2 AND EXISTS (
    SELECT FROM entitlements e WHERE e.source_ref = s.id AND e.valid_to > now())
"""
