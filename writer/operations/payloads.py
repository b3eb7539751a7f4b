"""Payloads of events, cut down to what the events are about: what an erasure leaves of them."""

from collections.abc import Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.db.transaction import Transactions

_CHUNK: Final = 2_000
"""Events that are looked through in one transaction: short enough to be in nobody's way."""


async def scrub(transactions: Transactions, objects: Sequence[str]) -> int:
    """Cut down every stored event that names one of these objects, of whatever type; how many that were.

    Everything that Stripe ever sent is looked through, so it takes a while; cut off, it can be done again.
    """
    needles = [orjson.dumps(name) for name in objects]
    after, found = "", 0
    while needles:
        row = await _step(transactions, {"after": after, "needles": needles, "most": _CHUNK})
        found += row.cut
        if row.last is None:
            break
        after = row.last
    return found


async def scrub_of(connection: AsyncConnection, objects: Sequence[str]) -> int:
    """The same for events about one of these objects, in the connection's transaction."""
    return (await connection.execute(_SCRUB_OF, {"objects": list(objects)})).rowcount


async def _step(transactions: Transactions, parameters: dict[str, Any]) -> Row[Any]:
    async def work(connection: AsyncConnection) -> Row[Any]:
        return (await connection.execute(_SCRUB, parameters)).one()

    return await transactions.run(work)


# What an event is, and what it is about: enough to have the object fetched, should it ever be replayed.
_REST: Final = """convert_to(json_build_object('id', e.id, 'object', 'event', 'type', e.type,
    'created', extract(epoch FROM e.created)::bigint, 'livemode', e.livemode, 'account', e.account,
    'api_version', e.api_version, 'data', json_build_object('object', json_build_object('id', e.object_id)),
    'erased', true)::text, 'UTF8')"""

_SCRUB: Final = text(f"""
WITH part AS (
    SELECT id FROM webhook_events WHERE id > :after ORDER BY id LIMIT :most
), cut AS (
    UPDATE webhook_events e SET payload = {_REST}
    FROM part s WHERE e.id = s.id AND position(CAST('"erased" : true' AS bytea) IN e.payload) = 0 AND EXISTS (
        SELECT FROM unnest(CAST(:needles AS bytea[])) n WHERE position(n IN e.payload) > 0)
    RETURNING e.id
)
SELECT (SELECT max(id) FROM part) AS last, (SELECT count(*) FROM cut) AS cut
""")  # noqa: S608 - a constant of ours

_SCRUB_OF: Final = text(f"""
UPDATE webhook_events e SET payload = {_REST}
WHERE e.object_id = ANY(CAST(:objects AS text[])) AND position(CAST('"erased" : true' AS bytea) IN e.payload) = 0
""")  # noqa: S608 - a constant of ours
