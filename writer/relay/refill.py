"""Refill: makes Redis whole again from one snapshot of Postgres, while relaying goes on beside it.

Documents are written over older or missing ones only, so it does not matter what the relay writes meanwhile. Until the
end, Redis is said to hold nothing; at the end that changes only if nobody emptied Redis or began another refill.
"""

import logging
from enum import StrEnum
from typing import Final
from uuid import uuid4

from common.clock import Clock
from writer.cache.copy import CacheCopy
from writer.relay.backlog import Backlog, as_message
from writer.relay.heads import Standing
from writer.relay.project_relay import LeaseLostError, ProjectRelay
from writer.relay.project_snapshot import ProjectSnapshot, ProjectSnapshots

_log = logging.getLogger(__name__)

LOG_TAIL: Final = 1_000
"""How many revisions a lost change log gets back: what a sidecar missed in the seconds of a repair."""


class Refilled(StrEnum):
    """What became of a refill."""

    WHOLE = "whole"
    AGAIN = "again"
    """Redis was emptied meanwhile, another epoch began or is about to: start again."""


class Refill:
    """Refills one project's copy for the holder of its lease."""

    def __init__(
        self, relay: ProjectRelay, snapshots: ProjectSnapshots, backlog: Backlog, cache: CacheCopy, clock: Clock
    ) -> None:
        self._relay = relay
        self._snapshots = snapshots
        self._backlog = backlog
        self._cache = cache
        self._clock = clock

    async def run(self) -> Refilled:
        """Write everything. Raises CacheFaultError, LeaseLostError and the database's faults; then run it again."""
        project = self._relay.lease.project
        token = uuid4().hex
        held = (await self._cache.holding(project, 0)).position
        await self._cache.begin_refill(project, token)
        relayed = self._relay.position
        async with self._snapshots.open(self._relay.lease.project_id) as snapshot:
            epoch = snapshot.head.position.epoch
            if relayed is not None and relayed.epoch == epoch and relayed > snapshot.head.position:
                return Refilled.AGAIN  # the database went back: a new epoch is about to begin
            await self._retire_unknown(snapshot)
            self._relay.met(await self._cache.write_catalogue(project, snapshot.head.catalogue))
            await self._mend_log(epoch)
            async for chunk in snapshot.documents(with_empty=True):
                self._check_lease()
                self._relay.met(await self._cache.write_documents(project, chunk))
        if held is not None and held.epoch < epoch:
            await self._cache.expire_log(project, held.epoch)
        return await self._finish(token, snapshot)

    async def _retire_unknown(self, snapshot: ProjectSnapshot) -> None:
        # Who is listed at Redis and unknown here was granted in a lineage that was given up.
        head = snapshot.head
        async for users in self._cache.users(head.project_id):
            self._check_lease()
            known = {row.user_id for row in await snapshot.of(users)}
            unknown = [user for user in users if user not in known]
            self._relay.met(await self._cache.retire(head.project_id, unknown, head.position, self._clock.now()))

    async def _mend_log(self, epoch: int) -> None:
        project = self._relay.lease.project
        async with self._relay.order:
            at = self._relay.position
            if at is None or at.epoch != epoch:
                return
            first, last, length = await self._cache.log_bounds(project, epoch)
            if length and length == last - first + 1 and last >= at.revision:
                return
            tail = await self._backlog.tail(self._relay.lease.project_id, at, LOG_TAIL)
            self._check_lease()
            now = self._clock.now()
            await self._cache.rewrite_log(project, epoch, [as_message(entry, now) for entry in tail])

    async def _finish(self, token: str, snapshot: ProjectSnapshot) -> Refilled:
        head = snapshot.head
        standing = Standing(head.position, head.count, head.digest)
        async with self._relay.order:
            self._check_lease()
            relayed = self._relay.standing
            if relayed is not None and relayed.position > standing.position:
                if relayed.position.epoch != standing.position.epoch:
                    return Refilled.AGAIN
                standing = relayed  # what was relayed since the snapshot was written to Redis too
            holding = await self._cache.holding(head.project_id, head.position.epoch)
            survived = holding.catalogue and (holding.users or not standing.count)
            if not survived or not await self._cache.end_refill(head.project_id, token, standing):
                return Refilled.AGAIN
        _log.info("Redis is whole again project=%s position=%s", head.project_id, standing.position.token)
        return Refilled.WHOLE

    def _check_lease(self) -> None:
        if not self._relay.holds:
            raise LeaseLostError
