"""Leases: which writer relays which project, and how far relaying has come.

The database's clock decides. A holder also counts on its own monotonic clock from before it asked, so it stops
before the database would give the lease to another.
"""

from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import Clock
from common.identifiers import ProjectId
from common.position import Position
from writer.db.direct import Statement

LEASE_SECONDS: Final = 3.0
RENEW_SECONDS: Final = 1.0
_MARGIN: Final = 0.5  # what was begun just before the end has this long to finish


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to relay one project, as last renewed. `fence` is higher than any earlier owner's."""

    project_id: int
    project: ProjectId
    fence: int
    cursor: Position
    """Everything up to here is in Redis, or was."""
    until: float
    """Monotonic seconds at which the holder must have stopped."""


class Leases:
    """Takes and renews the leases of all projects for one owner: this process."""

    def __init__(self, engine: AsyncEngine, instance: str, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        # Two processes may be told the same instance name, or be one restarted: each is an owner of its own.
        self.owner = f"{instance}:{uuid4().hex[:12]}"

    async def renew(self) -> dict[int, Lease]:
        """Renew what is ours and take what is free, in one statement; all that we hold now, by project."""
        asked_at = self._clock.monotonic()
        rows = await _RENEW.run_alone(self._engine, {"owner": self.owner, "seconds": LEASE_SECONDS})
        until = asked_at + LEASE_SECONDS - _MARGIN
        return {
            row.project_id: Lease(
                row.project_id,
                ProjectId(row.public_id),
                row.fence,
                Position(row.relayed_epoch, row.relayed_revision),
                until,
            )
            for row in rows
        }

    async def advance(self, lease: Lease, position: Position) -> bool:
        """Move the cursor forward to `position`; False where the lease is no longer ours."""
        parameters = {
            "project_id": lease.project_id,
            "owner": self.owner,
            "fence": lease.fence,
            "epoch": position.epoch,
            "revision": position.revision,
        }
        return bool(await _ADVANCE.run_alone(self._engine, parameters))

    async def release(self) -> None:
        """Give back what is ours, so that another writer need not wait for the end of our lease."""
        await _RELEASE.run_alone(self._engine, {"owner": self.owner})


_RENEW: Final = Statement("""
WITH held AS (
    INSERT INTO relay_leases AS l (project_id, owner, fence, expires_at)
    SELECT id, :owner, 1, clock_timestamp() + make_interval(secs => :seconds) FROM projects ORDER BY id
    ON CONFLICT (project_id) DO UPDATE
        SET fence = l.fence + CASE WHEN l.owner = excluded.owner THEN 0 ELSE 1 END,
            owner = excluded.owner, expires_at = excluded.expires_at
        WHERE l.owner = excluded.owner OR l.owner IS NULL OR l.expires_at < clock_timestamp()
    RETURNING project_id, fence, relayed_epoch, relayed_revision
)
SELECT held.*, p.public_id FROM held JOIN projects p ON p.id = held.project_id
""")

# Committed without waiting for the disk: a cursor that went back in a crash only tells again what was told.
_ADVANCE: Final = Statement("""
UPDATE relay_leases
SET relayed_epoch = greatest(relayed_epoch, :epoch),
    relayed_revision = CASE WHEN (relayed_epoch, relayed_revision) < (:epoch, :revision) THEN :revision
                            ELSE relayed_revision END
FROM (SELECT set_config('synchronous_commit', 'off', true)) AS unflushed
WHERE project_id = :project_id AND owner = :owner AND fence = :fence
RETURNING project_id
""")

_RELEASE: Final = Statement("""
UPDATE relay_leases SET owner = NULL, expires_at = '-infinity' WHERE owner = :owner
""")
