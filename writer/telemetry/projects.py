"""How projects stand, as all writers together see it: read now and then, for Prometheus."""

import asyncio
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.db.readings import Readings
from writer.operations import figures
from writer.supervision import DATABASE_FAULTS, Outage, jittered

_EVERY_SECONDS: Final = 5.0
_COUNTED_EVERY: Final = 12
"""Subscriptions are counted each so many rounds: it takes a look at all of them."""


class ProjectCounts:
    """Run it in the background; while Postgres is away, the last numbers stand."""

    def __init__(self, readings: Readings, registry: CollectorRegistry) -> None:
        self._readings = readings
        self._known: set[str] = set()
        self._outage = Outage("Postgres, for counting by project")
        self._revision = Gauge(
            "billing_project_revision", "The last committed revision of a project", ["project"], registry=registry
        )
        self._users = Gauge("billing_project_users", "Users who hold something", ["project"], registry=registry)
        self._active = Gauge(
            "billing_active_subscriptions", "Subscriptions that are active or trialing", ["project"], registry=registry
        )

    async def run(self) -> None:
        """Read now and then, until cancelled."""
        rounds = 0
        while True:
            try:
                await self.read(counting=rounds % _COUNTED_EVERY == 0)
            except DATABASE_FAULTS as error:
                self._outage.failed(error)
            else:
                self._outage.worked()
                rounds += 1
            await asyncio.sleep(jittered(_EVERY_SECONDS))

    async def read(self, *, counting: bool) -> None:
        """Read once; subscriptions too with `counting`, or where a project is new."""
        heads = await self._readings.run(_heads)
        for row in heads:
            self._revision.labels(row.public_id).set(row.revision)
            self._users.labels(row.public_id).set(row.user_count)
        known, self._known = self._known, {row.public_id for row in heads}
        if counting or self._known - known:
            for project, count in (await self._readings.run(figures.active_subscriptions)).items():
                self._active.labels(project).set(count)


async def _heads(connection: AsyncConnection) -> list[Row[Any]]:
    return list(await connection.execute(_HEADS))


_HEADS: Final = text("SELECT public_id, revision, user_count FROM projects")
