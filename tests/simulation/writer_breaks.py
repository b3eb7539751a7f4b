"""The writer broken on purpose. Each breaks one rule while it is applied."""

from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from common import keys
from common.clock import Instant
from common.document import Document
from common.identifiers import ProjectId, UserId
from common.position import NOWHERE, Position
from common.redis_nodes import Command
from common.wire import Change, UserChanged
from tests.simulation.processes import PROCESS
from tests.simulation.writer_process import WriterProcess
from writer import lineage, outbox
from writer.cache import copy as cache_copy
from writer.cache import redis_cache
from writer.cache.commands import RedisCommands
from writer.cache.copy import CacheCopy
from writer.cache.link import RedisLink
from writer.cache.redis_cache import RedisCache
from writer.cache.scripts import Mode
from writer.lineage import LineageKeeper
from writer.outbox import Cause, Revision, UserChange
from writer.relay import heads as relay_heads
from writer.relay.heads import Standing, head_of
from writer.relay.inspection import Inspection
from writer.relay.lease import LEASE_SECONDS, Lease, Leases
from writer.relay.project_relay import ProjectRelay
from writer.supervision import DATABASE_FAULTS


def publish_before_commit(patch: pytest.MonkeyPatch) -> None:
    """A change is told while its transaction is still open."""
    make, append = WriterProcess.__init__, outbox.append_users

    def made(self: WriterProcess, *arguments: Any) -> None:
        make(self, *arguments)
        self.process.notes["cache"] = RedisCache(RedisCommands(RedisLink(self.connector)), None)

    async def appended(
        connection: AsyncConnection, changes: Iterable[UserChange], cause: Cause, now: Instant
    ) -> list[Revision]:
        listed = list(changes)
        revisions = await append(connection, listed, cause, now)
        rows = {change.user_id: change.entitlements for change in listed}
        told: list[Change] = [
            UserChanged(Document(r.user_id, r.project, *r.position, now, rows[r.user_id]), now) for r in revisions
        ]
        await PROCESS.get().notes["cache"].publish(revisions[0].project, told)
        return revisions

    patch.setattr(WriterProcess, "__init__", made)
    patch.setattr(outbox, "append_users", appended)


def accept_an_older_document(patch: pytest.MonkeyPatch) -> None:
    """Documents are written at Redis whatever stands there."""

    def written(project: ProjectId, user: UserId, data: bytes, position: Position, seconds: int, mode: Mode) -> Command:
        return ("SET", keys.document(user, project), data)

    patch.setattr(redis_cache, "write_document", written)
    patch.setattr(cache_copy, "write_document", written)


def delete_instead_of_an_empty_document(patch: pytest.MonkeyPatch) -> None:
    """Whoever loses the last entitlement loses the document at Redis, too."""
    write = RedisCache._written

    def written(self: RedisCache, project: ProjectId, change: Change) -> Command:
        if isinstance(change, UserChanged) and not change.document.entitlements:
            return ("DEL", keys.document(change.document.user_id, project))
        return write(self, project, change)

    patch.setattr(RedisCache, "_written", written)


def heartbeat_without_head(patch: pytest.MonkeyPatch) -> None:
    """A heartbeat says what is relayed for what is committed, and so needs no look at Postgres."""
    turn, beat = ProjectRelay.turn, ProjectRelay._send_heartbeat

    async def turned(self: ProjectRelay) -> bool:
        try:
            return await turn(self)
        except DATABASE_FAULTS:
            if self.next_heartbeat == 0.0:
                await sent(self, NOWHERE, self._clock.monotonic())
            raise

    async def sent(self: ProjectRelay, head: Position, read_at: float) -> None:
        await beat(self, head if self.position is None else self.position, read_at)

    patch.setattr(ProjectRelay, "turn", turned)
    patch.setattr(ProjectRelay, "_send_heartbeat", sent)


def refill_without_its_token(patch: pytest.MonkeyPatch) -> None:
    """A refill that has come to its end says that Redis is whole, whatever happened to Redis meanwhile."""
    end = CacheCopy.end_refill

    async def ended(self: CacheCopy, project: ProjectId, token: str, standing: Standing) -> bool:
        await self.begin_refill(project, token)
        return await end(self, project, token, standing)

    patch.setattr(CacheCopy, "end_refill", ended)


def two_relays_without_the_lease(patch: pytest.MonkeyPatch) -> None:
    """Every writer relays every project, and none of them asks whether it may."""
    renew = Leases.renew

    async def renewed(self: Leases) -> dict[int, Lease]:
        held, until = await renew(self), self._clock.monotonic() + LEASE_SECONDS
        heads = [head_of(row) for row in await relay_heads._ALL.run_alone(self._engine, {})]
        taken = {head.project_id: Lease(head.project_id, head.project, 0, head.position, until) for head in heads}
        return {**taken, **held}

    async def advanced(self: Leases, lease: Lease, position: Position) -> bool:
        return True

    patch.setattr(Leases, "renew", renewed)
    patch.setattr(Leases, "advance", advanced)


def keep_the_epoch(patch: pytest.MonkeyPatch) -> None:
    """A restored database goes on in the epoch that it was saved in."""
    check = LineageKeeper.check

    async def only_first(self: LineageKeeper) -> None:
        async with self._asking.connect() as connection:
            recorded = (await connection.execute(lineage._RECORDED)).one().identity
        if recorded is None:
            await check(self)

    async def always(self: LineageKeeper, connection: AsyncConnection) -> bool:
        return True

    patch.setattr(LineageKeeper, "check", only_first)
    patch.setattr(LineageKeeper, "stands_on", always)


def do_not_inspect(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks whether Redis still holds what it is said to hold."""

    async def look(self: Inspection, *, refilling: bool, thorough: bool) -> None:
        return None

    patch.setattr(Inspection, "look", look)
