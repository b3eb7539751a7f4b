"""How far Stripe's event list was read, and which writer reads it now: one row, on the database's clock."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.clock import Instant, from_datetime, to_datetime

LEASE_SECONDS: Final = 60.0
"""For how long the list is left to a reader that is not heard of; each page renews it."""


class LeaseLostError(Exception):
    """Another writer reads the list now: leave it alone."""


class Cursor:
    """The row, as one writer sees it."""

    def __init__(self, engine: AsyncEngine, owner: str) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._owner = owner

    async def take(self, every: float) -> bool:
        """Become the reader, unless somebody is, or the list was read to its end within the last `every` seconds."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(_TAKE, {"owner": self._owner, "lease": LEASE_SECONDS, "every": every})
            return rows.one_or_none() is not None

    async def read(self) -> Instant | None:
        """Up to where, by Stripe's clock, the list was read. None: never."""
        async with self._engine.connect() as connection:
            created = (await connection.execute(_READ)).scalar_one_or_none()
            return None if created is None else from_datetime(created)

    async def newest_received(self) -> Instant | None:
        """When the event was made that was received last. None: no event ever was."""
        async with self._engine.connect() as connection:
            created = (await connection.execute(_NEWEST_RECEIVED)).scalar_one_or_none()
            return None if created is None else from_datetime(created)

    async def keep(self) -> None:
        """Renew the lease; LeaseLostError where it is another's."""
        async with self._engine.connect() as connection:
            await self._owned(connection, _KEEP, {"lease": LEASE_SECONDS})

    async def advance(self, connection: AsyncConnection, to: Instant) -> None:
        """Everything that was made before `to` is committed; LeaseLostError where the lease is another's."""
        await self._owned(connection, _ADVANCE, {"to": to_datetime(to)})

    async def leave(self, *, finished: bool) -> None:
        """Give the lease back; `finished`: the list was read to its end."""
        async with self._engine.connect() as connection:
            await connection.execute(_LEAVE, {"owner": self._owner, "finished": finished})

    async def _owned(self, connection: AsyncConnection, statement: object, parameters: dict[str, object]) -> None:
        result = await connection.execute(statement, {**parameters, "owner": self._owner})  # type: ignore[call-overload]
        if result.rowcount == 0:
            raise LeaseLostError(LeaseLostError.__doc__)


# A clock that was set back must not keep the list unread for as long.
_TAKE: Final = text("""
INSERT INTO event_cursor AS c (id, owner, expires_at)
VALUES (1, :owner, clock_timestamp() + make_interval(secs => CAST(:lease AS double precision)))
ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
WHERE (c.owner IS NULL OR c.owner = excluded.owner OR c.expires_at < clock_timestamp())
    AND (c.swept_at IS NULL OR c.swept_at > clock_timestamp()
        OR c.swept_at <= clock_timestamp() - make_interval(secs => CAST(:every AS double precision)))
RETURNING id
""")

_READ: Final = text("SELECT created FROM event_cursor WHERE id = 1")

_NEWEST_RECEIVED: Final = text("SELECT created FROM webhook_events ORDER BY received_at DESC LIMIT 1")

_KEEP: Final = text("""
UPDATE event_cursor SET expires_at = clock_timestamp() + make_interval(secs => CAST(:lease AS double precision))
WHERE id = 1 AND owner = :owner
""")

_ADVANCE: Final = text("""
UPDATE event_cursor SET created = greatest(created, CAST(:to AS timestamptz)) WHERE id = 1 AND owner = :owner
""")

_LEAVE: Final = text("""
UPDATE event_cursor SET owner = NULL, expires_at = '-infinity',
    swept_at = CASE WHEN :finished THEN clock_timestamp() ELSE swept_at END
WHERE id = 1 AND owner = :owner
""")
