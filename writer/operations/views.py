"""What operators look at that is no single object: read in one snapshot, from the replica where there is one."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Clock
from writer.catalogue.declared import ProjectCatalog
from writer.db.readings import Readings
from writer.operations import catalogue_versions, overview, projects, search
from writer.operations.catalogue_versions import CatalogueVersion
from writer.operations.overview import Overview
from writer.operations.search import Hit


class Views:
    """Every method raises RefusedError where something that was named is not there."""

    def __init__(self, readings: Readings, clock: Clock) -> None:
        self._readings = readings
        self._clock = clock

    async def overview(self) -> Overview:
        """How the whole stands."""
        now = self._clock.now()
        return await self._readings.run(lambda connection: overview.read(connection, now))

    async def search(self, words: str, project: str | None) -> Sequence[Hit]:
        """Users, by whatever is at hand."""
        return await self._readings.run(lambda connection: search.find(connection, words, project))

    async def catalogue_versions(self, project: str) -> Sequence[CatalogueVersion]:
        """Which catalogues were in force, the newest first."""

        async def work(connection: AsyncConnection) -> Sequence[CatalogueVersion]:
            return await catalogue_versions.newest(connection, await projects.find(connection, project))

        return await self._readings.run(work)

    async def declared_in(self, project: str, version: int) -> ProjectCatalog:
        """What was declared in a version of the catalogue."""

        async def work(connection: AsyncConnection) -> ProjectCatalog:
            return await catalogue_versions.declared_in(connection, await projects.find(connection, project), version)

        return await self._readings.run(work)
