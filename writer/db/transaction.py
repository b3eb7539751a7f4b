"""One way to run a transaction: whole, and again where the database asks for it."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from writer.db import direct

_log = logging.getLogger(__name__)

T = TypeVar("T")

_ATTEMPTS: Final = 6
_SERIALIZATION_FAILURE: Final = "40001"
_DEADLOCK_DETECTED: Final = "40P01"


class CatalogueMovedError(Exception):
    """The catalogue changed between computing and the project's lock: compute again."""


class LineageMovedError(Exception):
    """The database, or a project's table, is not what its epoch began in (a restore): a new epoch must begin first."""


_KNOWN: Final = "lineage_known"


class Lineage(Protocol):
    """Begins a new epoch where revisions may have gone back."""

    async def stands_on(self, connection: AsyncConnection) -> bool:
        """Whether a connection leads to the database that its epochs began in."""
        ...

    async def check(self) -> None:
        """Compare the database with what is recorded of it, and renew the epochs where they differ."""
        ...


class Transactions:
    """Runs work in READ COMMITTED transactions; locks are explicit and taken in one order.

    `work` may be run several times, so it must do nothing but speak to the database: no Redis, no Stripe.
    """

    def __init__(self, engine: AsyncEngine, lineage: Lineage) -> None:
        # The transactions are begun and ended here, without SQLAlchemy: it would do the same at a multiple of the cost.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._lineage = lineage

    async def run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """The result of `work` once it is committed; its last error where it cannot be."""
        for attempt in range(1, _ATTEMPTS + 1):
            last = attempt == _ATTEMPTS
            async with direct.connected(self._engine) as connection:
                try:
                    await self._recognise(connection)
                    await direct.begin(connection)
                    result = await work(connection)
                except LineageMovedError:
                    if last:
                        raise
                    renew = True
                except CatalogueMovedError:
                    if last:
                        raise
                    renew = False
                except DBAPIError as error:
                    if last or not _is_worth_repeating(error):
                        raise
                    _log.info("transaction is run again attempt=%d reason=%s", attempt, _reason(error))
                    renew = False
                else:
                    # Past this line the outcome may be unknown, so nothing is repeated.
                    await direct.commit(connection)
                    return result
            await self._before_repeating(attempt, renew=renew)
        raise AssertionError("unreachable")

    async def _recognise(self, connection: AsyncConnection) -> None:
        # A server that was restored meanwhile has ended every connection: it is enough to look at each new one.
        if _KNOWN not in connection.info:
            if not await self._lineage.stands_on(connection):
                raise LineageMovedError
            connection.info[_KNOWN] = True

    async def _before_repeating(self, attempt: int, *, renew: bool) -> None:
        if renew:
            _log.warning("the database's tables are not those that the epoch began in: a new epoch begins")
            await self._lineage.check()
        else:
            await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - spreads contenders


def _is_worth_repeating(error: DBAPIError) -> bool:
    return error.connection_invalidated or _reason(error) in {_SERIALIZATION_FAILURE, _DEADLOCK_DETECTED}


def _reason(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or "connection lost"
