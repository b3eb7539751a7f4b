"""Quiet: when the writers have done all that they know of, and which events they do not know."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from tests.lives.account import Json

_PATIENCE_S: Final = 120
_POLL_S: Final = 0.02
_HURRY: Final = 50
"""Polls after which what was put off is due: few enough tries that nothing is parked for it."""


class Quiet:
    """Looks at the writers' database."""

    def __init__(self, database: Any) -> None:
        self._database = database

    async def wait(self) -> None:
        """Wait until nothing is left to be worked on; what was put off, or claimed by the dead, is due at once."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                waited = 0
                while await self._database.fetchval(_BUSY):
                    await asyncio.sleep(_POLL_S)
                    waited += 1
                    if waited % _HURRY == 0:
                        await self._database.execute(_TIME_PASSES)
        except TimeoutError as error:
            waiting = await self._database.fetch(_WAITING)
            raise AssertionError(f"never quiet: {[dict(row) for row in waiting]}") from error

    async def unknown(self, events: Iterable[Json]) -> list[str]:
        """Those of the events that no writer has received, by id."""
        return [row["id"] for row in await self._database.fetch(_UNKNOWN, [event["id"] for event in events])]


_BUSY: Final = """
SELECT EXISTS (SELECT FROM webhook_events WHERE status = 'pending')
    OR EXISTS (SELECT FROM recompute_jobs WHERE finished_at IS NULL)
"""

_TIME_PASSES: Final = """
WITH events AS (
    UPDATE webhook_events SET next_attempt_at = now() WHERE status = 'pending' AND next_attempt_at > now() AND
        claimed_until IS NULL
)
UPDATE recompute_jobs SET claimed_until = now() WHERE finished_at IS NULL AND claimed_until > now() + interval '25 s'
    AND claimed_until < now() + interval '29 s'
"""

_UNKNOWN: Final = """
SELECT w.id FROM unnest($1::text[]) AS w(id) WHERE NOT EXISTS (SELECT FROM webhook_events e WHERE e.id = w.id)
"""

_WAITING: Final = """
SELECT id, type, object_id, attempts, claimed_by, claimed_until, next_attempt_at, last_error FROM webhook_events
WHERE status = 'pending' LIMIT 5
"""
