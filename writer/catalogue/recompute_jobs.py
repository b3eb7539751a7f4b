"""Works off recompute jobs: many users, in small resumable transactions between which purchases pass."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.catalogue.changes import GRANT_TARGET
from writer.db.transaction import Transactions
from writer.outbox import Cause
from writer.recompute import Recompute, lock_user_refs
from writer.supervision import DATABASE_FAULTS, Outage, is_outage, pauses
from writer.wakeup import Wakeup

_log = logging.getLogger(__name__)

CHUNK: Final = 200
"""Users a transaction: about 0.1 s of work, most of it outside the project's lock."""

_WINDOW: Final = 5_000
"""Users looked through a transaction for holders: bounds it also where hardly anybody is meant."""

_CLAIM_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What one transaction works on, and where it leaves the cursor."""

    refs: Sequence[int]
    cursor: int
    finished: bool


class RecomputeJobs:
    """One of several workers; a claim keeps two from the same job, and one that died is taken over."""

    def __init__(
        self, transactions: Transactions, recompute: Recompute, *, instance: str, wakeup: Wakeup, relay_wakeup: Wakeup
    ) -> None:
        self._transactions = transactions
        self._recompute = recompute
        self._instance = instance
        self._wakeup = wakeup
        self._relay_wakeup = relay_wakeup
        self._outage = Outage("the database (recompute jobs)")

    async def run(self) -> None:
        """Work off what there is, and wait for more, until cancelled; an outage of the database is waited out."""
        backoff = pauses()
        while True:
            try:
                worked = await self.step()
            except DATABASE_FAULTS as error:
                if not is_outage(error):
                    raise
                self._outage.failed(error)
                await asyncio.sleep(backoff.wait())
                continue
            self._outage.worked()
            backoff.reset()
            if not worked:
                await self._wakeup.wait(_POLL_SECONDS)
            else:
                # Between chunks everything else has its turn.
                await asyncio.sleep(0)

    async def step(self) -> bool:
        """One chunk of the oldest job that is free; False where there was none."""
        job = await self._transactions.run(self._claim)
        if job is None:
            return False
        revisions = await self._transactions.run(lambda connection: self._advance(connection, job))
        if revisions:
            self._relay_wakeup.notify()
        return True

    async def _claim(self, connection: AsyncConnection) -> Row[Any] | None:
        parameters = {"instance": self._instance, "seconds": _CLAIM_SECONDS}
        return (await connection.execute(_CLAIM, parameters)).one_or_none()

    async def _advance(self, connection: AsyncConnection, job: Row[Any]) -> int:
        chunk = await _next_chunk(connection, job)
        revisions = 0
        if chunk.refs:
            await lock_user_refs(connection, chunk.refs)
            revisions = len(await self._recompute.users(connection, chunk.refs, Cause(job.cause)))
        parameters = {
            "id": job.id,
            "instance": self._instance,
            "old_cursor": job.cursor,
            "cursor": chunk.cursor,
            "done": len(chunk.refs),
            "finished": chunk.finished,
        }
        # Computing twice does no harm, so a claim that was lost meanwhile only costs the other's chunk.
        moved = (await connection.execute(_MOVE, parameters)).rowcount
        if moved and chunk.finished:
            _log.info("recompute job finished id=%d cause=%s users=%d", job.id, job.cause, job.done + len(chunk.refs))
        return revisions


async def _next_chunk(connection: AsyncConnection, job: Row[Any]) -> _Chunk:
    targets: list[str] = [] if job.targets is None else job.targets
    parameters = {
        "project_id": job.project_id,
        "cursor": job.cursor,
        "window": _WINDOW,
        "everybody": job.targets is None,
        "targets": [target for target in targets if not target.startswith(GRANT_TARGET)],
        "features": [target.removeprefix(GRANT_TARGET) for target in targets if target.startswith(GRANT_TARGET)],
        "chunk": CHUNK,
    }
    row = (await connection.execute(_NEXT, parameters)).one()
    refs = list(row.refs or ())
    if len(refs) == CHUNK:
        return _Chunk(refs, refs[-1], finished=False)
    last = row.window_end
    return _Chunk(refs, job.cursor if last is None else last, finished=row.window_size < _WINDOW)


_CLAIM: Final = text("""
UPDATE recompute_jobs SET claimed_by = :instance, claimed_until = now() + make_interval(secs => :seconds)
WHERE id = (
    SELECT id FROM recompute_jobs
    WHERE finished_at IS NULL AND (claimed_until IS NULL OR claimed_until < now() OR claimed_by = :instance)
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, project_id, cause, targets, cursor, done
""")

_MOVE: Final = text("""
UPDATE recompute_jobs SET cursor = :cursor, done = done + :done,
    claimed_until = NULL, finished_at = CASE WHEN :finished THEN now() END
WHERE id = :id AND claimed_by = :instance AND cursor = :old_cursor AND finished_at IS NULL
""")

_NEXT: Final = text("""
WITH looked_at AS MATERIALIZED (
    SELECT id FROM users WHERE project_id = :project_id AND id > :cursor ORDER BY id LIMIT :window
), holders AS (
    SELECT w.id FROM looked_at w
    WHERE :everybody
        OR EXISTS (SELECT FROM subscription_items i WHERE i.user_ref = w.id
            AND (i.price_id = ANY(CAST(:targets AS text[])) OR i.product_id = ANY(CAST(:targets AS text[]))))
        OR EXISTS (SELECT FROM purchase_lines l WHERE l.user_ref = w.id
            AND (l.price_id = ANY(CAST(:targets AS text[])) OR l.product_id = ANY(CAST(:targets AS text[]))))
        OR EXISTS (SELECT FROM manual_grants g
            WHERE g.user_ref = w.id AND g.feature_code = ANY(CAST(:features AS text[])))
    ORDER BY w.id LIMIT :chunk
)
SELECT (SELECT array_agg(id ORDER BY id) FROM holders) AS refs, max(id) AS window_end, count(*) AS window_size
FROM looked_at
""")
