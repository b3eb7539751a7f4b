"""Retention: rows that nobody needs any more are removed, a few at a time, by one writer at a time.

What decides is never removed: pending and parked events, Stripe's objects and how current they are, grants, the audit
log. An event that is delivered again after its row went is judged by its object's watermark, as any late one is.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.clock import Clock
from writer.settings import RetentionSettings
from writer.supervision import DATABASE_FAULTS, Outage, jittered

_log = logging.getLogger(__name__)

BATCH: Final = 500
"""Rows, or users, of one transaction: some tens of milliseconds."""
_SHARE: Final = 5
"""After a batch it rests for so many times as long as that took."""
_LOOK_SECONDS: Final = 60.0
_RECORDS_KEPT: Final = 400 * 86_400.0

EVENTS: Final = "events"
HISTORY: Final = "history"
SUBSCRIPTION_HISTORY: Final = "subscription_history"
CHECKOUTS: Final = "checkouts"
RECORDS: Final = "records"


@dataclass(frozen=True, slots=True)
class Removed:
    """What one batch came to. `finished`: it was the last one of its pass."""

    kind: str
    rows: int
    finished: bool


class Retention:
    """Run it in the background; several writers take turns, batch by batch."""

    def __init__(
        self, engine: AsyncEngine, settings: RetentionSettings, clock: Clock, registry: CollectorRegistry
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._kept: dict[str, float] = {EVENTS: settings.events, CHECKOUTS: settings.events, RECORDS: _RECORDS_KEPT}
        if settings.history is not None:
            self._kept |= {HISTORY: settings.history, SUBSCRIPTION_HISTORY: settings.history}
        self._removed = Counter(
            "billing_retention_removed_rows", "Rows that were removed because they were old", ["kind"],
            registry=registry,
        )  # fmt: skip
        for kind in self._kept:
            self._removed.labels(kind)
        self._known = False
        self._outage = Outage("Postgres, for removing old rows")

    async def run(self) -> None:
        """Remove what is due, batch by batch, until cancelled."""
        while True:
            began = self._clock.monotonic()
            try:
                removed = await self.step()
            except DATABASE_FAULTS as error:  # also a schema that is not migrated yet
                self._outage.failed(error)
                removed = None
            else:
                self._outage.worked()
            took = self._clock.monotonic() - began
            await asyncio.sleep(jittered(_LOOK_SECONDS) if removed is None else took * _SHARE)

    async def step(self) -> Removed | None:
        """One batch of what is due; None: nothing is, or another writer is at it."""
        async with self._engine.begin() as connection:
            if not self._known:
                await connection.execute(_MAKE, {"kinds": list(self._kept)})
            due = (await connection.execute(_DUE, {"kinds": list(self._kept)})).one_or_none()
            removed = None if due is None else await self._batch(connection, due)
        self._known = True
        if removed is not None:
            self._removed.labels(removed.kind).inc(removed.rows)
            if removed.finished:
                _log.info("old rows were removed kind=%s", removed.kind)
        return removed

    async def _batch(self, connection: AsyncConnection, due: Row[tuple[str, str]]) -> Removed:
        parameters: Mapping[str, object] = {"kept": self._kept[due.kind], "cursor": due.cursor}
        row = (await connection.execute(_BATCHES[due.kind], parameters)).one()
        finished = row.cursor is None
        moved = {"kind": due.kind, "cursor": row.cursor or "", "rows": row.rows, "finished": finished}
        await connection.execute(_MOVE, moved)
        return Removed(due.kind, row.rows, finished)


_MAKE: Final = text("INSERT INTO retention (kind) SELECT unnest(CAST(:kinds AS text[])) ON CONFLICT DO NOTHING")

_DUE: Final = text("""
SELECT kind, cursor FROM retention WHERE next_at <= now() AND kind = ANY(CAST(:kinds AS text[]))
ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED
""")

_MOVE: Final = text("""
UPDATE retention SET cursor = :cursor, removed = removed + :rows,
    next_at = CASE WHEN CAST(:finished AS boolean) THEN now() + interval '1 day' ELSE now() END,
    finished_at = CASE WHEN CAST(:finished AS boolean) THEN now() ELSE finished_at END
WHERE kind = :kind
""")

# The size of a batch is no parameter: a plan that is made once would take it for a tenth of the table.
# Each answers `rows`, how many it removed, and `cursor`: where the next one begins, null where nothing is left.
# Whoever replays an event holds its row until it is pending again: what is locked is passed over, and looked at anew.
_EVENTS: Final = text(f"""
WITH old AS (
    SELECT id FROM webhook_events
    WHERE received_at < now() - make_interval(secs => CAST(:kept AS double precision))
        AND processed_at < now() - make_interval(secs => CAST(:kept AS double precision))
        AND status IN ('applied', 'superseded', 'ignored') AND CAST(:cursor AS text) = ''
    ORDER BY received_at LIMIT {BATCH} FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM webhook_events e USING old WHERE e.id = old.id RETURNING e.id
)
SELECT count(*) AS rows, CASE WHEN count(*) = {BATCH} THEN '' END AS cursor FROM gone
""")  # noqa: S608 - our own constant

# What was so at any later time is told by the last row before it: that one stays, however old.
_HISTORY: Final = text(f"""
WITH chunk AS MATERIALIZED (
    SELECT id FROM users WHERE id > coalesce(nullif(CAST(:cursor AS text), '')::bigint, 0)
    ORDER BY id LIMIT {BATCH}
), gone AS (
    DELETE FROM entitlement_history h USING chunk c CROSS JOIN LATERAL (
        SELECT max(n.recorded_at) AS recorded_at FROM entitlement_history n WHERE n.user_ref = c.id
            AND n.recorded_at <= now() - make_interval(secs => CAST(:kept AS double precision))) last
    WHERE h.user_ref = c.id AND h.recorded_at < last.recorded_at
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS rows, (SELECT max(id)::text FROM chunk) AS cursor
""")  # noqa: S608 - our own constant

_SUBSCRIPTION_HISTORY: Final = text(f"""
WITH chunk AS MATERIALIZED (
    SELECT id FROM subscriptions WHERE id > CAST(:cursor AS text) ORDER BY id LIMIT {BATCH}
), gone AS (
    DELETE FROM subscription_history h USING chunk c CROSS JOIN LATERAL (
        SELECT max(n.id) AS id FROM subscription_history n WHERE n.subscription_id = c.id
            AND n.recorded_at <= now() - make_interval(secs => CAST(:kept AS double precision))) last
    WHERE h.subscription_id = c.id AND h.id < last.id
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS rows, (SELECT max(id) FROM chunk) AS cursor
""")  # noqa: S608 - our own constant

_CHECKOUTS: Final = text(f"""
WITH chunk AS MATERIALIZED (
    SELECT id FROM users WHERE id > coalesce(nullif(CAST(:cursor AS text), '')::bigint, 0)
    ORDER BY id LIMIT {BATCH}
), gone AS (
    DELETE FROM checkout_requests r
    WHERE r.user_ref >= (SELECT min(id) FROM chunk) AND r.user_ref <= (SELECT max(id) FROM chunk)
        AND r.expires_at < now() - make_interval(secs => CAST(:kept AS double precision))
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS rows, (SELECT max(id)::text FROM chunk) AS cursor
""")  # noqa: S608 - our own constant

_RECORDS: Final = text("""
WITH jobs AS (
    DELETE FROM recompute_jobs WHERE finished_at < now() - make_interval(secs => CAST(:kept AS double precision))
    RETURNING 1
), made AS (
    DELETE FROM backups WHERE made_at < now() - make_interval(secs => CAST(:kept AS double precision)) RETURNING 1
)
SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM made) AS rows, CAST(NULL AS text) AS cursor
WHERE CAST(:cursor AS text) = ''
""")

_BATCHES: Final[Mapping[str, TextClause]] = {
    EVENTS: _EVENTS,
    HISTORY: _HISTORY,
    SUBSCRIPTION_HISTORY: _SUBSCRIPTION_HISTORY,
    CHECKOUTS: _CHECKOUTS,
    RECORDS: _RECORDS,
}
