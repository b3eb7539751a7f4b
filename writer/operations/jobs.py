"""Recompute jobs as people watch them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CollectorRegistry
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Clock
from writer.catalogue.recompute_jobs import RecomputeJobs
from writer.db.transaction import Transactions
from writer.recompute import Recompute
from writer.wakeup import Wakeup

_RECENT: Final = 20


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is. `done` and `failed` are users."""

    id: int
    project: str
    cause: str
    done: int
    failed: int
    total: int | None
    """None: nobody has begun, so nobody has counted."""
    is_finished: bool
    last_error: str | None


class Jobs:
    """Watching recompute jobs, and working on them beside the writers that do."""

    def __init__(self, transactions: Transactions, recompute: Recompute, clock: Clock) -> None:
        self._transactions = transactions
        self._recompute = recompute
        self._clock = clock

    async def unfinished(self, names: Collection[str]) -> Sequence[int]:
        """The unfinished jobs of these projects."""
        return await self._transactions.run(lambda connection: _unfinished(connection, names))

    async def progress(self, ids: Collection[int]) -> Sequence[JobProgress]:
        """How far these jobs are."""
        return await self._transactions.run(lambda connection: _read(connection, _PROGRESS, {"ids": list(ids)}))

    async def recent(self) -> Sequence[JobProgress]:
        """Unfinished jobs and the last finished ones, the newest first."""
        return await self._transactions.run(lambda connection: _read(connection, _RECENT_JOBS, {"most": _RECENT}))

    async def is_a_writer_running(self) -> bool:
        """Whether some writer holds a lease, so that it works off jobs too."""
        return await self._transactions.run(_is_a_writer_running)

    def worker(self, instance: str) -> RecomputeJobs:
        """Works off jobs, step by step."""
        wakeup = Wakeup()
        return RecomputeJobs(
            self._transactions, self._recompute, instance=instance, wakeup=wakeup, relay_wakeup=wakeup,
            clock=self._clock, registry=CollectorRegistry(),
        )  # fmt: skip


async def _unfinished(connection: AsyncConnection, names: Collection[str]) -> Sequence[int]:
    return list((await connection.execute(_OPEN, {"projects": list(names)})).scalars())


async def _read(connection: AsyncConnection, statement: TextClause, parameters: dict[str, Any]) -> list[JobProgress]:
    rows = (await connection.execute(statement, parameters)).mappings()
    return [JobProgress(**row) for row in rows]


async def _is_a_writer_running(connection: AsyncConnection) -> bool:
    found: bool = (await connection.execute(_WRITER)).scalar_one()
    return found


def to_json(job: JobProgress) -> dict[str, Any]:
    """A job in its public shape."""
    return {
        "id": job.id,
        "project_id": job.project,
        "cause": job.cause,
        "done": job.done,
        "failed": job.failed,
        "total": job.total,
        "finished": job.is_finished,
        "last_error": job.last_error,
    }


_COLUMNS: Final = """j.id, p.public_id AS project, j.cause, j.done, j.failed, j.total,
    j.finished_at IS NOT NULL AS is_finished, j.last_error
FROM recompute_jobs j JOIN projects p ON p.id = j.project_id"""

_OPEN: Final = text("""
SELECT j.id FROM recompute_jobs j JOIN projects p ON p.id = j.project_id
WHERE j.finished_at IS NULL AND p.public_id = ANY(:projects) ORDER BY j.id
""")

_PROGRESS: Final = text(f"SELECT {_COLUMNS} WHERE j.id = ANY(:ids) ORDER BY j.id")

_RECENT_JOBS: Final = text(f"""
SELECT {_COLUMNS} WHERE j.finished_at IS NULL
    OR j.id IN (SELECT id FROM recompute_jobs WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT :most)
ORDER BY j.id DESC
""")  # noqa: S608

_WRITER: Final = text("SELECT EXISTS (SELECT FROM relay_leases WHERE expires_at > now())")
