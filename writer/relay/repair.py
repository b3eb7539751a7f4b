"""Repair: documents that somebody else deleted or changed at Redis are written again, as Postgres has them.

Who is met so is then computed from its sources too: a difference is a new revision and takes the ordinary path. Where
Redis holds a revision that was undone, and whose number was given again, nothing can be written over it: its user gets
a new revision in any case.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from common import keys
from common.clock import Clock
from common.document import Document, digest_of
from common.identifiers import UserId
from common.position import NOWHERE, Position
from writer.cache.copy import CacheCopy
from writer.relay.metrics import RelayMetrics
from writer.relay.project_relay import ProjectRelay
from writer.relay.project_snapshot import ProjectSnapshots, StoredDocument

SCRUB_CHUNK: Final = 500


class OnRepaired(Protocol):
    """Is told whose document was wrong at Redis."""

    def __call__(self, user: UserId, *, anew: bool = False) -> None:
        """`anew`: it stays wrong until the user has a new revision, even one that says what the last one said."""
        ...


class Repair:
    """Compares documents at Redis with Postgres for the holder of a project's lease."""

    def __init__(
        self,
        relay: ProjectRelay,
        snapshots: ProjectSnapshots,
        cache: CacheCopy,
        metrics: RelayMetrics,
        clock: Clock,
        on_repaired: OnRepaired,
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
        self._listed: int | None = None
        """Where the walk over Redis's users goes on; None while it goes over Postgres's documents."""
        self._clock = clock

    async def users(self, users: Sequence[UserId]) -> bool:
        """Write again what is missing or different of these users; `on_repaired` is told of each such user.

        Who is unknown here, and yet holds something at Redis, holds nothing afterwards.

        False where nothing was written because Redis is in doubt.

        Raises CacheFaultError and the database's faults; then run it again.
        """
        project = self._relay.lease.project
        # Redis first: what is newer there than a later snapshot was never committed.
        held = await self._cache.documents(project, users)
        async with self._snapshots.open(self._relay.lease.project_id) as snapshot:
            stored = await snapshot.of(users)
        undone = [row.user_id for row in stored if _is_undone(held[row.user_id], row, snapshot.head.position)]
        broken = [row for row in stored if row.user_id not in undone and not self._is_intact(held[row.user_id], row)]
        unknown = _holding(held) - {row.user_id for row in stored}
        if not (undone or broken or unknown) or not self._relay.holds:
            return True
        if not self._is_settled():  # it was emptied while we looked
            return False
        now = self._clock.now()
        self._relay.met(await self._cache.retire(project, sorted(unknown), snapshot.head.position, now))
        self._relay.met(await self._cache.write_documents(project, broken))
        self._metrics.repaired(project, len(undone) + len(broken) + len(unknown))
        for row in broken:
            self._on_repaired(row.user_id)
        for user in undone:
            self._on_repaired(user, anew=True)
        return True

    async def scrub(self) -> bool:
        """Compare the next documents of the walk, and renew them; False when the walk came to its end.

        The walk goes over Postgres's documents, then over the users that Redis lists, for those whom Postgres lacks.
        """
        if self._listed is not None:
            return await self._scrub_listed(self._listed)
        project = self._relay.lease.project
        async with self._snapshots.open(self._relay.lease.project_id) as snapshot:
            rows = await snapshot.after(self._walked, SCRUB_CHUNK)
        if not rows:
            self._walked, self._listed = 0, 0
            return True
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

    async def _scrub_listed(self, cursor: int) -> bool:
        following, users = await self._cache.listed(self._relay.lease.project, cursor)
        async with self._snapshots.open(self._relay.lease.project_id) as snapshot:
            known = {row.user_id for row in await snapshot.of(users)}
        unknown = [user for user in users if user not in known]
        if not self._relay.holds:
            return False
        if unknown and not await self.users(unknown):
            return True
        self._listed = following or None
        return self._listed is not None

    def _is_intact(self, held: Document | None, row: StoredDocument) -> bool:
        if row.position > (self._relay.position or NOWHERE):
            return True  # it is not relayed yet
        if held is None:
            return row.is_empty and row.age > keys.EMPTY_DOCUMENT_SECONDS
        return held.position == row.position and digest_of(held) == row.digest


def _is_undone(held: Document | None, row: StoredDocument, head: Position) -> bool:
    """Whether the revision that Redis holds was given to somebody else since; beyond the head, a new epoch ends it."""
    return held is not None and row.position < held.position <= head


def _holding(held: Mapping[UserId, Document | None]) -> set[UserId]:
    return {user for user, document in held.items() if document is not None and document.entitlements}
