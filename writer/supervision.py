"""Background work: started again after a crash, ended at shutdown, and quiet about an outage that lasts."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_log = logging.getLogger(__name__)

DATABASE_FAULTS: Final = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
"""What a query can end in while Postgres is away, restarts or refuses; a timeout is an OSError."""

_PASSING: Final = ("08", "53", "57", "25006", "55P03", "40001", "40P01")
"""Postgres's codes for what asking again may mend: connections, resources, shutdowns and timeouts, a standby, locks."""

_LEAST: Final = 0.05
_MOST: Final = 2.0


def is_outage(error: BaseException) -> bool:
    """Whether one of DATABASE_FAULTS says that Postgres is away or busy, and not that our statement is wrong."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    code = getattr(getattr(error, "orig", error), "sqlstate", None)
    if code is not None:
        return str(code).startswith(_PASSING)
    return isinstance(error, PoolTimeoutError | asyncpg.InterfaceError | OSError)


class Backoff:
    """Growing, jittered pauses, in seconds; `reset` after a success."""

    def __init__(self, least: float = _LEAST, most: float = _MOST) -> None:
        self._least = least
        self._most = most
        self._next = least

    def next(self) -> float:
        """How long to wait now."""
        pause = self._next * random.uniform(0.5, 1.0)  # noqa: S311 - spreads those who wait for the same server
        self._next = min(self._next * 2, self._most)
        return pause

    def reset(self) -> None:
        """Begin with short pauses again."""
        self._next = self._least


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


def jittered(seconds: float) -> float:
    """About `seconds`: so that many who wait alike do not come at once."""
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load


async def supervise(name: str, work: Callable[[], Awaitable[None]], on_crash: Callable[[str], None]) -> None:
    """Run `work` until it returns or this is cancelled; a crash is logged, told to `on_crash`, and it starts again."""
    backoff = Backoff(most=10.0)
    while True:
        began = asyncio.get_running_loop().time()
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except Exception:
            _log.exception("background work crashed and starts again name=%s", name)
            on_crash(name)
        else:
            return
        if asyncio.get_running_loop().time() - began > _MOST:
            backoff.reset()
        await asyncio.sleep(backoff.next())
