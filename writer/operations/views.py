"""What operators look at that is no single object: read in one snapshot, from the replica where there is one."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Clock
from common.identifiers import UserId
from writer.catalogue.declared import ProjectCatalog
from writer.db.readings import Readings
from writer.operations import audit_log, catalogue_versions, grant_effect, holdings, overview, projects, search
from writer.operations.audit_log import AuditFilter, AuditPage
from writer.operations.catalogue_versions import CatalogueVersion
from writer.operations.grant_effect import Effect, Rules
from writer.operations.grants import GrantOrder
from writer.operations.holdings import Holdings
from writer.operations.overview import Overview
from writer.operations.search import Hit
from writer.recompute import Recompute


class Views:
    """Every method raises RefusedError where something that was named is not there."""

    def __init__(self, readings: Readings, recompute: Recompute, clock: Clock) -> None:
        self._readings = readings
        self._recompute = recompute
        self._clock = clock

    async def overview(self) -> Overview:
        """How the whole stands."""
        now = self._clock.now()
        return await self._readings.run(lambda connection: overview.read(connection, now))

    async def search(self, words: str, project: str | None) -> Sequence[Hit]:
        """Users, by whatever is at hand."""
        return await self._readings.run(lambda connection: search.find(connection, words, project))

    async def holdings(self, project: str, user: UserId) -> Holdings:
        """What a user bought and was given."""

        async def work(connection: AsyncConnection) -> Holdings:
            return await holdings.of(connection, await projects.find(connection, project), user)

        return await self._readings.run(work)

    async def effect_of_grant(self, project: str, order: GrantOrder) -> Effect:
        """What `Operations.grant` would change; it refuses what that refuses."""

        async def work(connection: AsyncConnection) -> Effect:
            found = await projects.find(connection, project)
            return await grant_effect.of_grant(connection, found, order, self._rules())

        return await self._readings.run(work)

    async def effect_of_revocation(self, project: str, grant_id: int) -> Effect:
        """What `Operations.revoke_grant` would change."""

        async def work(connection: AsyncConnection) -> Effect:
            found = await projects.find(connection, project)
            return await grant_effect.of_revocation(connection, found, grant_id, self._rules())

        return await self._readings.run(work)

    async def audit(self, chosen: AuditFilter, before: int | None, limit: int) -> AuditPage:
        """The audit log, a page at a time."""
        return await self._readings.run(lambda connection: audit_log.list_page(connection, chosen, before, limit))

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

    def _rules(self) -> Rules:
        return Rules(self._recompute.grace, self._clock.now())
