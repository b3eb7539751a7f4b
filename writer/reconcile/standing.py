"""How reconciling stands, by all writers together: what monitoring wants to know."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, from_datetime


@dataclass(frozen=True, slots=True)
class RunsStanding:
    """Whether a run is open, when the last one ended, and how many seconds it took; None where none ever did."""

    running: bool
    finished_at: Instant | None
    seconds: float | None


async def read(connection: AsyncConnection) -> RunsStanding:
    """By the database's rows. Imports do not count."""
    row = (await connection.execute(_READ)).one()
    finished_at = None if row.finished_at is None else from_datetime(row.finished_at)
    return RunsStanding(row.running, finished_at, row.seconds)


_READ: Final = text("""
SELECT EXISTS (SELECT FROM reconcile_runs WHERE finished_at IS NULL AND kind = 'reconcile') AS running, l.finished_at,
    CAST(extract(epoch FROM l.finished_at - l.created_at) AS double precision) AS seconds
FROM (SELECT 1) one LEFT JOIN LATERAL (
    SELECT finished_at, created_at FROM reconcile_runs
    WHERE finished_at IS NOT NULL AND kind = 'reconcile' ORDER BY id DESC LIMIT 1) l ON true
""")
