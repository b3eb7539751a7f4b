"""The rows that lock Stripe objects and say how current our copies are. The first locks of every transaction."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, from_datetime, to_datetime
from writer.domain.stripe.watermark import NOTHING_HELD, Watermark


async def lock(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Watermark]:
    """Lock objects, sorted, making the rows that are missing; how current each is. Held to the transaction's end."""
    wanted = sorted(set(ids))
    found = await _lock(connection, wanted)
    if len(found) < len(wanted):
        await connection.execute(_ADD, {"ids": wanted})
        found = await _lock(connection, wanted)
    return found


async def read(connection: AsyncConnection, object_id: str) -> Watermark:
    """How current our copy is, without a lock."""
    row = (await connection.execute(_READ, {"id": object_id})).one_or_none()
    return NOTHING_HELD if row is None else _watermark(row)


async def advance(connection: AsyncConnection, object_id: str, watermark: Watermark) -> None:
    """Record how current our copy is now. The caller holds the lock."""
    parameters = {
        "id": object_id,
        "event_created": _datetime(watermark.event_created),
        "fetched_at": _datetime(watermark.fetched_at),
    }
    await connection.execute(_ADVANCE, parameters)


async def _lock(connection: AsyncConnection, ids: list[str]) -> dict[str, Watermark]:
    return {row.id: _watermark(row) for row in await connection.execute(_LOCK, {"ids": ids})}


def _watermark(row: Row[tuple[object, ...]]) -> Watermark:
    return Watermark(_instant(row.event_created), _instant(row.fetched_at))


def _instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else from_datetime(moment)


def _datetime(instant: Instant | None) -> datetime | None:
    return None if instant is None else to_datetime(instant)


_LOCK: Final = text("""
SELECT id, event_created, fetched_at FROM stripe_objects WHERE id = ANY(:ids) ORDER BY id COLLATE "C" FOR UPDATE
""")

_ADD: Final = text("""
INSERT INTO stripe_objects (id) SELECT unnest(CAST(:ids AS text[])) ON CONFLICT (id) DO NOTHING
""")

_READ: Final = text("SELECT id, event_created, fetched_at FROM stripe_objects WHERE id = :id")

_ADVANCE: Final = text("""
UPDATE stripe_objects SET event_created = :event_created, fetched_at = :fetched_at WHERE id = :id
""")
