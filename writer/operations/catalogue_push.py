"""Writing declared catalogues to Stripe, for operators: what is said, and the audit log of what was written."""

from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import ProjectId
from writer.catalogue import push, tables
from writer.catalogue.push import Difference, Push, Shelf, Source
from writer.db.transaction import Transactions
from writer.operations import audit, projects
from writer.operations.audit import Act, Actor


class CataloguePush:
    """First `compare`, then, where the operator agrees, `write`."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def compare(self, shelf: Shelf, project: str | None) -> Push:
        """How Stripe's metadata differs from the catalogue of one project, or of all."""
        return await push.compare(shelf, await self._sources(project))

    async def write(self, shelf: Shelf, wanted: Push, actor: Actor) -> None:
        """Write what differs, each with its line in the audit log."""

        async def written(one: Difference) -> None:
            act = Act("catalog.push", one.source.project_id, one.target, before=dict(one.before), after=dict(one.after))
            await self._transactions.run(lambda connection: audit.record(connection, actor, act))

        await push.write(shelf, wanted, written)

    async def _sources(self, project: str | None) -> list[Source]:
        async def work(connection: AsyncConnection) -> list[Source]:
            named = None if project is None else [await projects.find(connection, project)]
            listed = await projects.list_all(connection) if named is None else named
            rows = [(one.id, ProjectId(one.public_id), await tables.declared(connection, one.id)) for one in listed]
            return await push.read_sources(connection, rows)

        return await self._transactions.run(work)
