"""Sequences that went back: what a plain dump does that was loaded over a database that was not empty.

Its tables are there already, so its rows are refused; but it sets each sequence to where it was. Then what is inserted
next meets keys that are taken, and stays away, until a sequence has come past them.
"""

import logging
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_log = logging.getLogger(__name__)

ROOM: Final = 1_000
"""Beyond the highest key: for what others insert while we count."""


async def set_forward(engine: AsyncEngine) -> list[str]:
    """Set every sequence that is behind its table's keys beyond them; the names of those tables."""
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        found = [row.named for row in await connection.execute(_KEYS) if await _was_behind(connection, row)]
    if found:
        _log.error(
            "a dump was loaded over this database, which was not empty: its sequences were set forward again. Rows may "
            "be mixed: restore the dump into an empty database, see docs/backups.md tables=%s", ",".join(found),
        )  # fmt: skip
    return found


async def _was_behind(connection: AsyncConnection, row: Row[Any]) -> bool:
    forward = text(
        f"SELECT setval(CAST(:sequence AS regclass), most + {ROOM}) "  # noqa: S608 - quoted by Postgres itself
        f"FROM (SELECT max({row.key}) AS most FROM {row.named}) t, {row.sequence} s WHERE s.last_value < t.most"
    )
    return (await connection.execute(forward, {"sequence": row.sequence})).first() is not None


_KEYS: Final = text("""
SELECT c.oid::regclass::text AS named, quote_ident(a.attname) AS key,
    pg_get_serial_sequence(c.oid::regclass::text, a.attname) AS sequence
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attidentity <> '' ORDER BY 1
""")
