"""Log levels that operators ask for, of all writers at once, without a restart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, format_time, from_datetime
from common.log_levels import LOGGER_NAME
from common.logs import LogLevel
from writer.db.transaction import Transactions
from writer.operations import audit
from writer.operations.audit import Act, Actor
from writer.refusals import InvalidError
from writer.wakeup import Wakeup


@dataclass(frozen=True, slots=True)
class Asked:
    """A level that somebody asked for."""

    logger: str | None
    """Such as `writer.pipeline`, with what stands below it; None: every logger."""
    level: LogLevel
    until: Instant | None
    """When it ends by itself; None: never."""
    actor: str
    set_at: Instant


class AskedLevels:
    """What is asked for, kept where every writer looks."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self.changed = Wakeup()
        """Notified when it was changed by this process."""

    async def all(self) -> Sequence[Asked]:
        """What is asked for now, sorted by logger."""
        return await self._transactions.run(_read)

    async def ask(self, logger: str | None, level: LogLevel | None, seconds: int | None, actor: Actor) -> None:
        """Ask for a level, for so many seconds or until it is taken back; level None takes it back.

        InvalidError `invalid_logger`: it cannot be a logger's name.
        """
        if logger is not None and not LOGGER_NAME.fullmatch(logger):
            raise InvalidError("invalid_logger", "logger must be a dotted name such as writer.pipeline")

        async def work(connection: AsyncConnection) -> None:
            held = next((one for one in await _read(connection, locked=True) if one.logger == logger), None)
            parameters = {"logger": logger or "", "level": level and level.value, "seconds": seconds}
            await connection.execute(_TAKE_BACK, parameters)
            if level is not None:
                await connection.execute(_ASK, {**parameters, "actor": actor.name})
            before = None if held is None else {"level": held.level.value}
            after = None if level is None else {"level": level.value, "for_seconds": seconds}
            act = Act("log_level.set", None, f"logger:{logger or 'all'}", before=before, after=after)
            await audit.record(connection, actor, act)

        await self._transactions.run(work)
        self.changed.notify()


def parse_level(text: str) -> LogLevel:
    """A level in any case; InvalidError `invalid_log_level`."""
    try:
        return LogLevel(text.upper())
    except ValueError:
        names = ", ".join(level.value.lower() for level in LogLevel)
        raise InvalidError("invalid_log_level", f"level must be one of {names}, or null for LOG_LEVEL") from None


def to_json(asked: Asked) -> dict[str, Any]:
    """What was asked for, in its public shape."""
    return {
        "logger": asked.logger,
        "level": asked.level.value.lower(),
        "until": None if asked.until is None else format_time(asked.until),
        "actor": asked.actor,
        "set_at": format_time(asked.set_at),
    }


async def _read(connection: AsyncConnection, *, locked: bool = False) -> list[Asked]:
    if locked:
        await connection.execute(_LOCK)
    return [_asked(row) for row in await connection.execute(_READ)]


def _asked(row: Row[Any]) -> Asked:
    until = None if row.until is None else from_datetime(row.until)
    return Asked(row.logger or None, LogLevel(row.level), until, row.actor, from_datetime(row.set_at))


# Two who ask at once do so one after the other: what the audit log calls `before` was so.
_LOCK: Final = text("LOCK TABLE log_levels IN SHARE ROW EXCLUSIVE MODE")

_READ: Final = text("""
SELECT logger, level, until, actor, set_at FROM log_levels WHERE until IS NULL OR until > now() ORDER BY logger
""")

_TAKE_BACK: Final = text("DELETE FROM log_levels WHERE logger = :logger OR until <= now()")

_ASK: Final = text("""
INSERT INTO log_levels (logger, level, until, actor)
VALUES (:logger, :level, now() + make_interval(secs => CAST(:seconds AS double precision)), :actor)
""")
