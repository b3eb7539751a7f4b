"""Relay: the last station of the writer. Tells Redis and sidecars every revision of a project, in order, at least once.

Only the lease's holder relays. What it writes is harmless when repeated or late: documents are written only over older
ones, the change log refuses old ids, what Redis is said to hold only moves forward, and sidecars pass over what
they know. So a relay that was paused and wakes behind another's back changes nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from common.clock import Clock
from common.document import Document
from common.identifiers import ProjectId
from common.position import Position
from common.wire import Change, Heartbeat
from writer.outbox import OutboxEntry
from writer.relay.backlog import Page, Start, as_message
from writer.relay.heads import Standing
from writer.relay.lease import Lease
from writer.relay.metrics import RelayMetrics
from writer.relay.telling import told

_log = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 1.0
PAGE: Final = 500
BURST: Final = 100
"""Changes published without a pause: a subscriber's output buffer at Redis is finite."""
_BURST_ROWS: Final = 2_000  # of entitlements, which a burst of large documents reaches first
PAUSE_SECONDS: Final = 0.005
TIMELY_SECONDS: Final = 0.5
"""How long ago a head may have been read that a heartbeat tells of: ages are counted from when it arrives."""


class CacheFaultError(Exception):
    """Redis did not take or give something; the message says why. Nothing is lost: it is tried again."""


class Advanced(StrEnum):
    """What became of saying how much Redis holds."""

    ADVANCED = "advanced"
    MISSING = "missing"
    """Redis says nothing of the project: it was emptied, or is being refilled."""
    BEHIND = "behind"
    """Redis holds an older state than the one that we continue: revisions are missing in it."""
    AHEAD = "ahead"
    """Redis holds a newer state: another relay came further, or Redis knows a future that Postgres lost."""


@dataclass(frozen=True, slots=True)
class Published:
    """What was met while publishing."""

    ahead: Position | None = None
    """The newest position that a document in Redis had beyond what was written over it."""
    damaged: bool = False
    """A key of ours holds something of another type."""


class Outbox(Protocol):
    """Where revisions come from."""

    async def page(self, project_id: int, after: Position, limit: int) -> Page:
        """Entries after a position, and the head."""
        ...

    async def start(self, project_id: int, cursor: Position) -> Start:
        """Where to go on from a cursor."""
        ...


class Cursor(Protocol):
    """Where it is remembered how far relaying has come."""

    async def advance(self, lease: Lease, position: Position) -> bool:
        """False: the lease is no longer ours."""
        ...


class Cache(Protocol):
    """Redis, as the relay needs it. Every method raises CacheFaultError."""

    async def publish(self, project: ProjectId, changes: Sequence[Change]) -> Published:
        """For each change in order: document or catalogue, users set, change log, channel."""
        ...

    async def advance(self, project: ProjectId, behind: Position, standing: Standing) -> Advanced:
        """Say that Redis holds `standing`, if it held everything up to `behind`."""
        ...

    async def heartbeat(self, project: ProjectId, heartbeat: Heartbeat, is_timely: Callable[[], bool]) -> None:
        """Tell how far the project has come, unless it is too late for that once it can be sent: CacheFaultError."""
        ...


class LeaseLostError(Exception):
    """Another writer relays the project now."""


class ProjectRelay:
    """Relays one project under one lease."""

    def __init__(
        self,
        lease: Lease,
        outbox: Outbox,
        cursor: Cursor,
        cache: Cache,
        clock: Clock,
        metrics: RelayMetrics,
        on_damage: Callable[[str], None],
    ) -> None:
        self.lease = lease
        self.order = asyncio.Lock()
        """Held while what Redis holds and `standing` are out of step."""
        self.position: Position | None = None
        """How far we have relayed; None before the first turn."""
        self.standing: Standing | None = None
        """What is true at `position`, as far as it is known."""
        self.logged = False
        """Whether a change log of this epoch must exist."""
        self.ahead: Position | None = None
        """The newest position met in Redis that we had not written."""
        self._outbox = outbox
        self._cursor = cursor
        self._cache = cache
        self._clock = clock
        self._metrics = metrics
        self._on_damage = on_damage
        self._heartbeat_due = 0.0

    def met(self, held: Position | None) -> None:
        """A document in Redis was at `held`, beyond what was to be written."""
        if held is not None:
            self.ahead = max(self.ahead or held, held)

    def renewed(self, lease: Lease) -> None:
        """The lease lasts longer."""
        self.lease = lease

    @property
    def holds(self) -> bool:
        """Whether the lease is surely still ours."""
        return self._clock.monotonic() < self.lease.until

    @property
    def next_heartbeat(self) -> float:
        """Seconds until the next heartbeat is due."""
        return max(0.0, self._heartbeat_due - self._clock.monotonic())

    async def turn(self) -> bool:
        """Relay what is there, at most a page, then a heartbeat if one is due; whether more is waiting.

        Raises CacheFaultError and the database's faults; then nothing is forgotten and the turn is run again.
        LeaseLostError ends it.
        """
        if not self.holds:
            raise LeaseLostError
        if self.position is None:
            await self._begin(self.lease.cursor)
        position = self._at()
        read_at = self._clock.monotonic()
        page = await self._outbox.page(self.lease.project_id, position, PAGE)
        if page.head.position.epoch != position.epoch:
            await self._begin(position)
            return True
        if page.entries:
            await self._relay(page.entries)
        elif page.head.position > position:
            await self._skip(page.head.standing)
        self._metrics.lag(self.lease.project, page.head.position.revision - self._at().revision)
        if self.next_heartbeat == 0.0:
            if self._clock.monotonic() - read_at > TIMELY_SECONDS:
                read_at = self._clock.monotonic()
                page = await self._outbox.page(self.lease.project_id, self._at(), 1)
            await self._send_heartbeat(page.head.position, read_at)
        return self._at() < page.head.position

    async def _begin(self, cursor: Position) -> None:
        start = await self._outbox.start(self.lease.project_id, cursor)
        async with self.order:
            self.position, self.standing, self.logged = start.position, start.standing, start.logged
        if start.position.epoch != cursor.epoch:
            _log.info("relaying epoch project=%s position=%s", self.lease.project, start.position.token)

    async def _relay(self, entries: Sequence[OutboxEntry]) -> None:
        if entries[-1].position.revision != self._at().revision + len(entries):
            self._report_gap()
        for burst in _bursts(entries):
            await self._publish(burst)
            if burst[-1] is not entries[-1]:
                await asyncio.sleep(PAUSE_SECONDS)
        if not await self._cursor.advance(self.lease, self._at()):
            raise LeaseLostError

    async def _skip(self, head: Standing) -> None:
        self._report_gap()
        async with self.order:
            self.position, self.standing = head.position, head
        if not await self._cursor.advance(self.lease, head.position):
            raise LeaseLostError

    def _report_gap(self) -> None:
        _log.error("revisions are missing in the outbox project=%s after=%s", self.lease.project, self._at().token)
        self._on_damage("gap in the outbox")

    async def _publish(self, burst: Sequence[OutboxEntry]) -> None:
        project = self.lease.project
        last = burst[-1]
        standing = Standing(last.position, last.count, last.digest)
        async with self.order:
            if not self.holds:
                raise LeaseLostError
            now = self._clock.now()
            with told(project, burst) as entries:
                published = await self._cache.publish(project, [as_message(entry, now) for entry in entries])
            advanced = await self._cache.advance(project, self._at(), standing)
            self.position, self.standing, self.logged = last.position, standing, True
        self._metrics.published(project, len(burst))
        self.met(published.ahead)
        if published.damaged:
            self._on_damage("a key of another type")
        if advanced in {Advanced.MISSING, Advanced.BEHIND}:
            self._on_damage(f"Redis is {advanced.value}")

    async def _send_heartbeat(self, head: Position, read_at: float) -> None:
        """Tell of `head`, which was read at `read_at` (monotonic seconds) or later."""
        if self.standing is None or head.epoch != self.standing.position.epoch:
            self._heartbeat_due = self._clock.monotonic() + HEARTBEAT_SECONDS
            return  # nothing says what is true here; the next revision will
        async with self.order:
            if not self.holds:
                raise LeaseLostError
            at = self.standing
            beat = Heartbeat(*at.position, head.revision, at.count, at.digest, self._clock.now())
            # Redis may have let us wait: what was true before that would pass for what is true now.
            await self._cache.heartbeat(
                self.lease.project, beat, lambda: self._clock.monotonic() - read_at <= TIMELY_SECONDS
            )
        self._heartbeat_due = self._clock.monotonic() + HEARTBEAT_SECONDS

    def _at(self) -> Position:
        if self.position is None:
            raise AssertionError("relaying has not begun")
        return self.position


def _bursts(entries: Sequence[OutboxEntry]) -> Iterator[Sequence[OutboxEntry]]:
    burst: list[OutboxEntry] = []
    rows = 0
    for entry in entries:
        burst.append(entry)
        rows += len(entry.body.entitlements) if isinstance(entry.body, Document) else len(entry.body.features)
        if len(burst) == BURST or rows >= _BURST_ROWS:
            yield burst
            burst, rows = [], 0
    if burst:
        yield burst
