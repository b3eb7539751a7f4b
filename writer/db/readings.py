"""Reads that may lag: from the read replica where there is one, else, or while it is away, from the primary.

What must be current never comes here: answers, documents, snapshots, changes, keys, what is read to be written.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from writer.supervision import DATABASE_FAULTS, Outage, is_outage

T = TypeVar("T")

_NOT_MIGRATED: Final = ("42P01", "42703")
"""Postgres's codes for a table or column that is not there: the replica has not heard of the migration yet."""


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
                if not is_outage(error) and not _not_migrated(error):
                    raise
                self._outage.failed(error)
            else:
                self._outage.worked()
                return result
        async with self._primary.connect() as connection:
            return await work(connection)


def _not_migrated(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _NOT_MIGRATED
