"""Lineage: whether this is still the database that its revisions were given in.

Where revisions may have gone back, every project begins a new epoch before anything else, and everybody who knows the
old one starts afresh.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.clock import Clock
from common.position import Position
from writer.relay.metrics import RelayMetrics

_log = logging.getLogger(__name__)

LAST_EPOCH: Final = 4_102_444_800
"""The year 2100: an epoch beyond it was never ours, whoever names it."""

HEARSAY_SECONDS: Final = 600.0
"""A new epoch makes every sidecar of the project load afresh, and whoever has a key can claim to be ahead. On such a
word alone a project gets one epoch in this time from one writer; after a real loss one is enough for all of them."""

_HEARSAY: Final = frozenset({"sidecar", "changes"})
_NOT_TOLD: Final = "unknown"
_REFUSALS: Final = {"42501", "42883", "0A000"}  # insufficient privilege, undefined function, not supported


class LineageKeeper:
    """Knows which database this is, and begins new epochs."""

    def __init__(self, engine: AsyncEngine, metrics: RelayMetrics, on_rise: Callable[[], None], clock: Clock) -> None:
        self._engine = engine
        self._asking = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._metrics = metrics
        self._on_rise = on_rise
        self._clock = clock
        self._believed: dict[int, float] = {}
        self._hearing = asyncio.Lock()

    async def check(self) -> None:
        """Compare the database with what is recorded of it; where they differ, every project gets a new epoch."""
        async with self._asking.connect() as connection:
            found = await identity(connection)
            if await _is_recorded(connection, found):
                return
        async with self._engine.begin() as connection:
            risen = await _renew(connection, found)
        if risen:
            _log.warning("new epochs began: the database is another one projects=%d identity=%s", risen, found)
            self._risen("lineage")

    async def stands_on(self, connection: AsyncConnection) -> bool:
        """Whether what `connection` leads to is the database that its epochs began in. `connection`: AUTOCOMMIT."""
        return await _is_recorded(connection, await identity(connection))

    async def raise_epoch(self, project_id: int, above: Position, seen_in: str) -> bool:
        """Begin a new epoch of one project: `above` was seen in `redis`, `sidecar` or `changes`, and is not committed.

        False where the head has reached `above` after all, where no lineage of ours can have been there, and where the
        word of a sidecar or caller was believed a short while ago.
        """
        if above.epoch > LAST_EPOCH:
            _log.error("an impossible epoch was seen project_id=%d epoch=%d in=%s", project_id, above.epoch, seen_in)
            return False
        async with self._hearing:  # of many who claim at once, one is heard
            hearsay = seen_in in _HEARSAY
            if hearsay and not self._may_believe(project_id):
                return False
            parameters = {"project_id": project_id, **above._asdict(), "hearsay": hearsay}
            async with self._engine.begin() as connection:
                raised = (await connection.execute(_RAISE, parameters)).scalar_one_or_none()
            if raised is None:
                return False
            if hearsay:
                self._believed[project_id] = self._clock.monotonic()
        _log.warning(
            "a new epoch began because revisions went back project_id=%d seen=%s in=%s epoch=%d",
            project_id, above.token, seen_in, raised,
        )  # fmt: skip
        self._risen(seen_in)
        return True

    def _may_believe(self, project_id: int) -> bool:
        last = self._believed.get(project_id)
        return last is None or self._clock.monotonic() - last >= HEARSAY_SECONDS

    def _risen(self, cause: str) -> None:
        self._metrics.epoch_rise(cause)
        self._on_rise()


async def identity(connection: AsyncConnection) -> str:
    """Which database a connection leads to: cluster, timeline and database. `connection`: AUTOCOMMIT."""
    system = await _told(connection, "SELECT system_identifier::text FROM pg_control_system()")
    timeline = await _told(connection, "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")
    database = await _told(connection, "SELECT oid::text FROM pg_database WHERE datname = current_database()")
    return f"{system}:{timeline}:{database}"


async def _told(connection: AsyncConnection, question: str) -> str:
    # Some hosts do not tell their customers; a word that stays the same stands in.
    try:
        return str((await connection.execute(text(question))).scalar_one())
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _REFUSALS:
            raise
        return _NOT_TOLD


async def _is_recorded(connection: AsyncConnection, identity: str) -> bool:
    row = (await connection.execute(_RECORDED)).one()
    return bool(row.identity == identity and not row.moved)


async def _renew(connection: AsyncConnection, identity: str) -> int:
    await connection.execute(_RECORD_FIRST, {"identity": identity})
    recorded = (await connection.execute(_LOCK)).scalar_one()
    ids = (await connection.execute(_LOCK_PROJECTS)).scalars().all()
    rising = ids if recorded != identity else (await connection.execute(_MOVED)).scalars().all()
    await connection.execute(_RISE, {"ids": list(rising)})
    await connection.execute(_RECORD, {"identity": identity})
    return len(rising)


_RECORDED: Final = text("""
SELECT (SELECT identity FROM lineage) AS identity,
    EXISTS (SELECT FROM projects WHERE home_oid <> tableoid) AS moved
""")
_RECORD_FIRST: Final = text("INSERT INTO lineage (id, identity) VALUES (1, :identity) ON CONFLICT DO NOTHING")
_LOCK: Final = text("SELECT identity FROM lineage FOR UPDATE")
_LOCK_PROJECTS: Final = text("SELECT id FROM projects ORDER BY id FOR NO KEY UPDATE")
_MOVED: Final = text("SELECT id FROM projects WHERE home_oid <> tableoid")
_RISE: Final = text("""
UPDATE projects SET home_oid = tableoid,
    epoch = greatest(epoch + 1, extract(epoch FROM clock_timestamp())::bigint)
WHERE id = ANY(CAST(:ids AS bigint[]))
""")
_RECORD: Final = text("UPDATE lineage SET identity = :identity, recorded_at = now() WHERE identity <> :identity")
_RAISE: Final = text("""
UPDATE projects SET home_oid = tableoid,
    epoch = greatest(epoch + 1, :epoch + 1, extract(epoch FROM clock_timestamp())::bigint)
WHERE id = :project_id AND (epoch, revision) < (:epoch, :revision)
    AND (NOT CAST(:hearsay AS boolean)
         OR :epoch <= greatest(epoch, extract(epoch FROM clock_timestamp())::bigint + 86400))
RETURNING epoch
""")
