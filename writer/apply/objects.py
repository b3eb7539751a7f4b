"""The rows that lock Stripe objects and say how current our copies are. The first locks of every transaction."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, from_datetime, to_datetime
from writer.db.direct import Row, Statement
from writer.domain.stripe.watermark import NOTHING_HELD, Watermark


async def lock(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Watermark]:
    """Lock objects, sorted, making the rows that are missing; how current each is. Held to the transaction's end."""
    rows = await _LOCK.run(connection, {"ids": sorted(set(ids))})
    return {row.id: watermark(row) for row in rows}


async def read(connection: AsyncConnection, object_id: str) -> Watermark:
    """How current our copy is, without a lock."""
    rows = await _READ.run(connection, {"id": object_id})
    return watermark(rows[0]) if rows else NOTHING_HELD


async def advance(connection: AsyncConnection, object_id: str, watermark: Watermark) -> None:
    """Record how current our copy is now. The caller holds the lock."""
    parameters = {
        "id": object_id,
        "event_created": _datetime(watermark.event_created),
        "fetched_at": _datetime(watermark.fetched_at),
    }
    await _ADVANCE.run(connection, parameters)


def watermark(row: Row) -> Watermark:
    """The watermark in a row's `event_created` and `fetched_at`, both null where nothing is held."""
    return Watermark(_instant(row.event_created), _instant(row.fetched_at))


def _instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else from_datetime(moment)


def _datetime(instant: Instant | None) -> datetime | None:
    return None if instant is None else to_datetime(instant)


# An update that changes nothing locks what is there, and an insert what is not: both in one round trip.
_LOCK: Final = Statement("""
INSERT INTO stripe_objects (id) SELECT unnest(CAST(:ids AS text[]))
ON CONFLICT (id) DO UPDATE SET id = EXCLUDED.id
RETURNING id, event_created, fetched_at
""")

_READ: Final = Statement("SELECT id, event_created, fetched_at FROM stripe_objects WHERE id = :id")

_ADVANCE: Final = Statement("""
UPDATE stripe_objects SET event_created = :event_created, fetched_at = :fetched_at WHERE id = :id
""")
