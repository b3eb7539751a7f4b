"""Faults of the database as background work meets them, and outages that are told once."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from common.backoff import Backoff

T = TypeVar("T")

_log = logging.getLogger(__name__)

DATABASE_FAULTS: Final = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
"""What a query can end in while Postgres is away, restarts or refuses; a timeout is an OSError."""

_PASSING: Final = ("08", "53", "57", "25006", "55P03", "40001", "40P01")
"""Postgres's codes for what asking again may mend: connections, resources, shutdowns and timeouts, a standby, locks."""

_NOT_MIGRATED: Final = ("42P01", "42703")
"""Postgres's codes for a table or column that is not there."""

SPREAD: Final = random.Random()  # noqa: S311 - spreads those who wait for the same server


def is_outage(error: BaseException) -> bool:
    """Whether one of DATABASE_FAULTS says that Postgres is away or busy, and not that our statement is wrong."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    code = _code(error)
    if code is not None:
        return code.startswith(_PASSING)
    return isinstance(error, PoolTimeoutError | asyncpg.InterfaceError | OSError)


def _code(error: BaseException) -> str | None:
    code = getattr(getattr(error, "orig", error), "sqlstate", None)
    return None if code is None else str(code)


def is_waited_out(error: BaseException) -> bool:
    """Whether background work waits: for Postgres, or for the migration that makes the table or column.

    A request does not wait, so there the same code is a fault like any other.
    """
    return is_outage(error) or _code(error) in _NOT_MIGRATED


class Outage:
    """Says once that something is away, and once that it is back."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.lasts = False

    def failed(self, error: BaseException) -> None:
        """It did not work."""
        if not self.lasts:
            self.lasts = True
            # A driver appends the statement and its parameters, which are users' data.
            words = str(error).partition("\n")[0]
            _log.warning("%s is away, trying again error=%s: %s", self._what, type(error).__name__, words)

    def worked(self) -> None:
        """It worked."""
        if self.lasts:
            self.lasts = False
            _log.info("%s is back", self._what)


def pauses() -> Backoff:
    """Pauses that wait out a passing fault of Redis or Postgres: short at first, growing to two seconds."""
    return Backoff(SPREAD, first=0.05, most=2.0)


def jittered(seconds: float) -> float:
    """About `seconds`: so that many who wait alike do not come at once."""
    return seconds * SPREAD.uniform(0.8, 1.2)


async def work_off(step: Callable[[], Awaitable[T]], rest: Callable[[T], Awaitable[None]], outage: Outage) -> None:
    """Take one step after another until cancelled, each followed by the rest that it calls for.

    An outage of the database is waited out, and so is a schema that is not there yet; other errors are raised.
    """
    backoff = pauses()
    while True:
        try:
            came = await step()
        except DATABASE_FAULTS as error:
            if not is_waited_out(error):
                raise
            outage.failed(error)
            await asyncio.sleep(backoff.wait())
        else:
            outage.worked()
            backoff.reset()
            await rest(came)
