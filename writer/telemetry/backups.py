"""When the last backup was made and verified, as the database knows it: read now and then, for Prometheus."""

import asyncio
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.db.readings import Readings
from writer.supervision import DATABASE_FAULTS, Outage, jittered

_EVERY_SECONDS: Final = 30.0


class BackupTimes:
    """Run it in the background; while Postgres is away, the last numbers stand."""

    def __init__(self, readings: Readings, registry: CollectorRegistry) -> None:
        self._readings = readings
        self._outage = Outage("Postgres, for the times of backups")
        self._made = Gauge(
            "billing_backup_last_success_timestamp_seconds", "Which moment the last backup shows; 0: none",
            registry=registry,
        )  # fmt: skip
        self._size = Gauge("billing_backup_last_bytes", "Size of the last backup", registry=registry)
        self._verified = Gauge(
            "billing_backup_last_verified_timestamp_seconds",
            "When a backup was last restored and compared; 0: never",
            registry=registry,
        )

    async def run(self) -> None:
        """Read now and then, until cancelled."""
        while True:
            try:
                await self.read()
            except DATABASE_FAULTS as error:
                self._outage.failed(error)
            else:
                self._outage.worked()
            await asyncio.sleep(jittered(_EVERY_SECONDS))

    async def read(self) -> None:
        """Read once."""
        row = await self._readings.run(_read)
        self._made.set(row.made)
        self._size.set(row.size)
        self._verified.set(row.verified)


async def _read(connection: AsyncConnection) -> Row[Any]:
    return (await connection.execute(_READ)).one()


_READ: Final = text("""
SELECT coalesce(extract(epoch FROM max(made_at)), 0) AS made,
    coalesce((SELECT size FROM backups ORDER BY made_at DESC LIMIT 1), 0) AS size,
    coalesce(extract(epoch FROM max(verified_at)), 0) AS verified
FROM backups
""")
