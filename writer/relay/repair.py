"""Repair: documents that somebody else deleted or changed at Redis are written again, as Postgres has them.

Who is met so is then computed from its sources too: a difference is a new revision and takes the ordinary path.
"""

from collections.abc import Callable, Sequence
from typing import Final

from common import keys
from common.document import Document, digest_of
from common.identifiers import UserId
from common.position import NOWHERE
from writer.cache.copy import CacheCopy
from writer.relay.metrics import RelayMetrics
from writer.relay.project_relay import ProjectRelay
from writer.relay.project_snapshot import ProjectSnapshots, StoredDocument

SCRUB_CHUNK: Final = 500


class Repair:
    """Compares documents at Redis with Postgres for the holder of a project's lease."""

    def __init__(
        self,
        relay: ProjectRelay,
        snapshots: ProjectSnapshots,
        cache: CacheCopy,
        metrics: RelayMetrics,
        on_repaired: Callable[[UserId], None],
        is_settled: Callable[[], bool],
    ) -> None:
        """`is_settled`: False while Redis may have lost everything, which a refill makes good and not a repair."""
        self._relay = relay
        self._snapshots = snapshots
        self._cache = cache
        self._metrics = metrics
        self._on_repaired = on_repaired
        self._is_settled = is_settled
        self._walked = 0

    async def users(self, users: Sequence[UserId]) -> bool:
        """Write again what is missing or different of these users; `on_repaired` is told of each such user.

        False where nothing was written because Redis is in doubt.

        Raises CacheFaultError and the database's faults; then run it again.
        """
        # Redis first: what is newer there than a later snapshot was never committed.
        held = await self._cache.documents(self._relay.lease.project, users)
        async with self._snapshots.open(self._relay.lease.project_id) as snapshot:
            stored = await snapshot.of(users)
        broken = [row for row in stored if not self._is_intact(held[row.user_id], row)]
        if not broken or not self._relay.holds:
            return True
        if not self._is_settled():  # it was emptied while we looked
            return False
        self._relay.met(await self._cache.write_documents(self._relay.lease.project, broken))
        self._metrics.repaired(self._relay.lease.project, len(broken))
        for row in broken:
            self._on_repaired(row.user_id)
        return True

    async def scrub(self) -> bool:
        """Compare the next documents of the walk, and renew them; False when the walk came to its end."""
        project = self._relay.lease.project
        async with self._snapshots.open(self._relay.lease.project_id) as snapshot:
            rows = await snapshot.after(self._walked, SCRUB_CHUNK)
        if not rows:
            self._walked = 0
            return False
        held = await self._cache.documents(project, [row.user_id for row in rows])
        doubtful = [row.user_id for row in rows if not self._is_intact(held[row.user_id], row)]
        if not self._relay.holds:
            return False
        if doubtful and not await self.users(doubtful):
            return True
        await self._cache.renew(project, [row.user_id for row in rows if not row.is_empty])
        gone = [row.user_id for row in rows if row.is_empty and row.age > keys.EMPTY_DOCUMENT_SECONDS]
        if gone:
            await self._cache.unlist(project, gone)
        self._walked = rows[-1].user_ref
        return True

    def _is_intact(self, held: Document | None, row: StoredDocument) -> bool:
        if row.position > (self._relay.position or NOWHERE):
            return True  # it is not relayed yet
        if held is None:
            return row.is_empty and row.age > keys.EMPTY_DOCUMENT_SECONDS
        return held.position == row.position and digest_of(held) == row.digest
