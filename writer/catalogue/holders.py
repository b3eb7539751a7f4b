"""Whom a change of a catalogue concerns: users with something of certain prices, products or manual grants."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.catalogue.changes import GRANT_TARGET
from writer.db.direct import Statement

WINDOW: Final = 500
"""Users looked through at a time: bounds it also where hardly anybody is meant, and costs little where everybody is."""


@dataclass(frozen=True, slots=True)
class Meant:
    """Users of a project. `targets`: price and product ids, and `feature:CODE` for manual grants; None: everybody."""

    project_id: int
    targets: Sequence[str] | None

    def parameters(self) -> dict[str, Any]:
        """For the statements of this module."""
        targets = self.targets or ()
        return {
            "project_id": self.project_id,
            "everybody": self.targets is None,
            "targets": [target for target in targets if not target.startswith(GRANT_TARGET)],
            "features": [target.removeprefix(GRANT_TARGET) for target in targets if target.startswith(GRANT_TARGET)],
        }


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some users (users.id, rising), and behind whom the next ones are looked for."""

    refs: Sequence[int]
    cursor: int
    is_last: bool


async def next_chunk(connection: AsyncConnection, meant: Meant, cursor: int, size: int) -> Chunk:
    """The next `size` users at most behind `cursor`; fewer where the window ends before."""
    parameters = {**meant.parameters(), "cursor": cursor, "window": WINDOW, "chunk": size}
    (row,) = await _NEXT.run(connection, parameters)
    refs = list(row.refs or ())
    if len(refs) == size:
        return Chunk(refs, refs[-1], is_last=False)
    last = row.window_end
    return Chunk(refs, cursor if last is None else last, is_last=row.window_size < WINDOW)


async def count(connection: AsyncConnection, meant: Meant) -> int:
    """How many there are."""
    found: int = (await connection.execute(_COUNT, meant.parameters())).scalar_one()
    return found


# OFFSET 0 keeps each a question about one user, by its index. Without it Postgres may answer it for everybody at once,
# reading whole tables again for each chunk.
_HOLDS: Final = """(:everybody
        OR EXISTS (SELECT FROM subscription_items i WHERE i.user_ref = w.id
            AND (i.price_id = ANY(CAST(:targets AS text[])) OR i.product_id = ANY(CAST(:targets AS text[]))) OFFSET 0)
        OR EXISTS (SELECT FROM purchase_lines l WHERE l.user_ref = w.id
            AND (l.price_id = ANY(CAST(:targets AS text[])) OR l.product_id = ANY(CAST(:targets AS text[]))) OFFSET 0)
        OR EXISTS (SELECT FROM manual_grants g
            WHERE g.user_ref = w.id AND g.feature_code = ANY(CAST(:features AS text[])) OFFSET 0))"""

_NEXT: Final = Statement(f"""
WITH looked_at AS MATERIALIZED (
    SELECT id FROM users WHERE project_id = :project_id AND id > :cursor ORDER BY id LIMIT :window
), holders AS (
    SELECT w.id FROM looked_at w WHERE {_HOLDS} ORDER BY w.id LIMIT :chunk
)
SELECT (SELECT array_agg(id ORDER BY id) FROM holders) AS refs, max(id) AS window_end, count(*) AS window_size
FROM looked_at
""")  # noqa: S608 - a constant of this module

_COUNT: Final = text(f"SELECT count(*) FROM users w WHERE w.project_id = :project_id AND {_HOLDS}")  # noqa: S608
