"""Reads that may lag: from the read replica where there is one, else, or while it is away, from the primary.

What must be current never comes here: answers, documents, snapshots, changes, keys, what is read to be written.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from writer.supervision import DATABASE_FAULTS, Outage, is_waited_out

T = TypeVar("T")


class Readings:
    """Runs work that only reads, in one snapshot. The work may be run twice, at two servers."""

    def __init__(self, primary: AsyncEngine, replica: AsyncEngine | None = None) -> None:
        self.replica: Final = replica
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._primary = primary.execution_options(**options)
        self._replica = None if replica is None else replica.execution_options(**options)
        self._outage = Outage("the read replica")

    async def run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """The result of `work`. Raises as reads on the primary do."""
        if self._replica is not None:
            try:
                async with self._replica.connect() as connection:
                    result = await work(connection)
            except DATABASE_FAULTS as error:
                # The replica may not have heard of a migration yet.
                if not is_waited_out(error):
                    raise
                self._outage.failed(error)
            else:
                self._outage.worked()
                return result
        async with self._primary.connect() as connection:
            return await work(connection)
