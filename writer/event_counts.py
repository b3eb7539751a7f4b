"""How many events wait or were parked, as all writers together see it: counted now and then, for Prometheus."""

import asyncio
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.db.readings import Readings
from writer.supervision import DATABASE_FAULTS, Outage, jittered

_EVERY_SECONDS: Final = 10.0


class EventCounts:
    """Run it in the background; while Postgres is away, the last numbers stand."""

    def __init__(self, readings: Readings, registry: CollectorRegistry) -> None:
        self._readings = readings
        self._outage = Outage("Postgres, for counting events")
        self._parked = Gauge("billing_events_parked", "Events that were given up, until replayed", registry=registry)
        self._pending = Gauge("billing_events_pending", "Events that are not applied yet", registry=registry)
        self._retrying = Gauge(
            "billing_events_retrying", "Those of the pending events that failed before", registry=registry
        )
        self._oldest = Gauge(
            "billing_events_oldest_pending_seconds", "Since when the oldest of them waits; 0: none", registry=registry
        )

    async def run(self) -> None:
        """Count now and then, until cancelled."""
        while True:
            try:
                await self.count()
            except DATABASE_FAULTS as error:
                self._outage.failed(error)
            else:
                self._outage.worked()
            await asyncio.sleep(jittered(_EVERY_SECONDS))

    async def count(self) -> None:
        """Count once. Both counts are of partial indexes, which hold nothing that is done with."""
        row = await self._readings.run(_count)
        self._parked.set(row.parked)
        self._pending.set(row.pending)
        self._retrying.set(row.retrying)
        self._oldest.set(row.oldest)


async def _count(connection: AsyncConnection) -> Row[Any]:
    return (await connection.execute(_COUNT)).one()


_COUNT: Final = text("""
SELECT (SELECT count(*) FROM webhook_events WHERE status = 'parked') AS parked,
    count(*) AS pending, count(*) FILTER (WHERE attempts > 0) AS retrying,
    coalesce(extract(epoch FROM now() - min(received_at)), 0) AS oldest
FROM webhook_events WHERE status = 'pending'
""")
