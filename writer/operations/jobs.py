"""Recompute jobs as people watch them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

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


async def open_jobs(connection: AsyncConnection, names: Collection[str]) -> Sequence[int]:
    """The unfinished jobs of these projects."""
    return list((await connection.execute(_OPEN, {"projects": list(names)})).scalars())


async def progress(connection: AsyncConnection, ids: Collection[int]) -> Sequence[JobProgress]:
    """These jobs, by id."""
    return [JobProgress(**row._mapping) for row in await connection.execute(_PROGRESS, {"ids": list(ids)})]  # noqa: SLF001


async def recent(connection: AsyncConnection) -> Sequence[JobProgress]:
    """Every unfinished job and the last finished ones, the newest first."""
    return [JobProgress(**row._mapping) for row in await connection.execute(_RECENT_JOBS, {"most": _RECENT})]  # noqa: SLF001


async def is_a_writer_running(connection: AsyncConnection) -> bool:
    """Whether some writer holds a lease, so that it works off jobs too."""
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
