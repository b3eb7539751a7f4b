"""Recompute jobs as rows: who works on one, how far it has come, and whose turn it is next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.catalogue import holders
from writer.catalogue.holders import Chunk, Meant
from writer.db.direct import Row, Statement
from writer.operations import audit
from writer.operations.audit import Act, Actor

_CLAIM_SECONDS: Final = 30.0

_MOST_LAG: Final = 200
"""Revisions not relayed yet, beyond which a job waits: what is bought now is relayed behind them."""

_LONGEST_WAIT: Final = 0.5
"""Seconds that a job waits for the relay: without Redis it goes on all the same, slowly."""

_WORKER: Final = Actor("system")


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job."""

    id: int
    project_id: int
    project: str
    cause: str
    targets: Sequence[str] | None
    """Price and product ids, and `feature:CODE`; None: everybody."""
    cursor: int
    """users.id of the last one done."""
    done: int
    failed: int
    total: int | None
    attempts: int
    """Failures that made the chunk smaller, and that successes have not made up for yet."""

    @property
    def meant(self) -> Meant:
        """Who is to be computed again."""
        return Meant(self.project_id, self.targets)


async def claim(connection: AsyncConnection, instance: str) -> Job | None:
    """The free job that has waited longest, so that one of many users does not hold up another project's."""
    parameters = {
        "instance": instance,
        "seconds": _CLAIM_SECONDS,
        "most_lag": _MOST_LAG,
        "longest_wait": _LONGEST_WAIT,
    }
    rows = await _CLAIM.run(connection, parameters)
    return _job(rows[0]) if rows else None


async def count(connection: AsyncConnection, job: Job) -> None:
    """Write down how many users are meant, for people who wait."""
    await connection.execute(_TOTAL, {"id": job.id, "total": await holders.count(connection, job.meant)})


async def next_chunk(connection: AsyncConnection, job: Job, size: int) -> Chunk:
    """The next `size` users at most."""
    return await holders.next_chunk(connection, job.meant, job.cursor, size)


async def move(connection: AsyncConnection, job: Job, instance: str, chunk: Chunk) -> None:
    """The chunk is done. Where the claim was lost meanwhile nothing moves: computing twice does no harm."""
    parameters = {"id": job.id, "instance": instance, "old_cursor": job.cursor, "cursor": chunk.cursor}
    await _MOVE.run(connection, {**parameters, "done": len(chunk.refs)})


async def finish(connection: AsyncConnection, job: Job, instance: str) -> bool:
    """Nobody is left; False where the claim was lost. Failures are told in the audit log."""
    parameters = {"id": job.id, "instance": instance, "old_cursor": job.cursor}
    if not (await connection.execute(_FINISH, parameters)).rowcount:
        return False
    if job.failed:
        after = {"users": job.done, "failed": job.failed}
        act = Act("recompute.finish", job.project_id, f"job:{job.id}", "some users could not be computed", after=after)
        await audit.record(connection, _WORKER, act)
    return True


async def put_off(connection: AsyncConnection, job: Job, seconds: float, reason: str, *, smaller: bool = False) -> None:
    """Give the job back for a while; others have their turn. `smaller`: the next chunk is half of this one."""
    parameters = {"id": job.id, "seconds": seconds, "reason": reason, "more": int(smaller)}
    await connection.execute(_PUT_OFF, parameters)


async def skip(connection: AsyncConnection, job: Job, instance: str, ref: int, reason: str) -> None:
    """Go on behind a user who cannot be computed, and say in the audit log who it is and why."""
    parameters = {"id": job.id, "instance": instance, "old_cursor": job.cursor, "ref": ref, "reason": reason}
    row = (await connection.execute(_SKIP, parameters)).one_or_none()
    if row is not None:
        act = Act("recompute.skip", job.project_id, f"user:{row.user_id}", reason, after={"job": job.id})
        await audit.record(connection, _WORKER, act)


def _job(row: Row) -> Job:
    return Job(
        row.id, row.project_id, row.public_id, row.cause, row.targets, row.cursor, row.done, row.failed, row.total,
        row.attempts,
    )  # fmt: skip


# Committed without waiting for the disk, once a chunk: a claim that a crash took back would have expired with it.
_CLAIM: Final = Statement("""
UPDATE recompute_jobs j SET claimed_by = :instance, claimed_until = now() + make_interval(secs => :seconds)
FROM projects p, (SELECT set_config('synchronous_commit', 'off', true)) AS unflushed
WHERE p.id = j.project_id AND j.id = (
    SELECT o.id FROM recompute_jobs o JOIN projects q ON q.id = o.project_id
        LEFT JOIN relay_leases l ON l.project_id = o.project_id
    WHERE o.finished_at IS NULL AND o.next_attempt_at <= now()
        AND (o.claimed_until IS NULL OR o.claimed_until < now() OR o.claimed_by = :instance)
        AND (l.relayed_epoch IS DISTINCT FROM q.epoch OR l.expires_at < now()
            OR q.revision - l.relayed_revision <= :most_lag
            OR o.next_attempt_at < now() - make_interval(secs => :longest_wait))
    ORDER BY o.next_attempt_at, o.id LIMIT 1 FOR UPDATE OF o SKIP LOCKED)
RETURNING j.id, j.project_id, p.public_id, j.cause, j.targets, j.cursor, j.done, j.failed, j.total, j.attempts
""")

_MOVE: Final = Statement("""
UPDATE recompute_jobs SET cursor = :cursor, done = done + :done, attempts = greatest(attempts - 1, 0),
    claimed_until = NULL, next_attempt_at = clock_timestamp()
WHERE id = :id AND claimed_by = :instance AND cursor = :old_cursor AND finished_at IS NULL
""")

_FINISH: Final = text("""
UPDATE recompute_jobs SET claimed_until = NULL, finished_at = now()
WHERE id = :id AND claimed_by = :instance AND cursor = :old_cursor AND finished_at IS NULL
""")

_PUT_OFF: Final = text("""
UPDATE recompute_jobs SET attempts = attempts + :more, last_error = :reason, claimed_until = NULL,
    next_attempt_at = clock_timestamp() + make_interval(secs => :seconds)
WHERE id = :id AND finished_at IS NULL
""")

_SKIP: Final = text("""
UPDATE recompute_jobs j SET cursor = :ref, failed = failed + 1, last_error = :reason, claimed_until = NULL,
    next_attempt_at = clock_timestamp()
FROM users u
WHERE j.id = :id AND j.claimed_by = :instance AND j.cursor = :old_cursor AND j.finished_at IS NULL AND u.id = :ref
RETURNING u.user_id
""")

_TOTAL: Final = text("UPDATE recompute_jobs SET total = :total WHERE id = :id")
