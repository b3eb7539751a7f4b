"""What was done, as operators look it up: the audit log, and grants that were given."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from writer.db.readings import Readings
from writer.operations import audit_log, granted, projects
from writer.operations.audit_log import AuditFilter, Entry
from writer.operations.granted import GrantFilter, ManualGrant


class Records:
    """Reads that may lag. `project`: a public id; UnknownError `unknown_project` where it is none."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    async def audit(self, project: str | None, chosen: AuditFilter, before: int | None, limit: int) -> Sequence[Entry]:
        """Acts, the newest first, those with a smaller id than `before`, at most `limit`."""

        async def work(connection: AsyncConnection) -> Sequence[Entry]:
            narrowed = replace(chosen, project_id=await _project_id(connection, project))
            return await audit_log.search(connection, narrowed, before, limit)

        return await self._readings.run(work)

    async def grants(
        self, project: str | None, chosen: GrantFilter, before: int | None, limit: int
    ) -> Sequence[ManualGrant]:
        """Grants, in the same way."""

        async def work(connection: AsyncConnection) -> Sequence[ManualGrant]:
            narrowed = replace(chosen, project_id=await _project_id(connection, project))
            return await granted.search(connection, narrowed, before, limit)

        return await self._readings.run(work)


async def _project_id(connection: AsyncConnection, project: str | None) -> int | None:
    return None if project is None else (await projects.find(connection, project)).id
