"""Mending a project's copy: filling a gap in place, or loading a fresh copy aside and putting it in."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import IntEnum
from itertools import chain
from typing import Final

from common.clock import Clock
from common.identifiers import UserId
from common.position import Position
from sidecar.bootstrap import Bootstrap, Loaded
from sidecar.catchup import Apply, ChangeLog, ChangesOrigin, Filled, fill_from_log, fill_from_origin
from sidecar.metrics import Metrics
from sidecar.project import Project, Start
from sidecar.refusals import Refusals
from sidecar.replica import Copy, Installed
from sidecar.sources import LIVE, AheadError, Source, SourceError, UnavailableError, UnreadableError
from sidecar.turns import Turns

_log = logging.getLogger(__name__)

MOST_DIFFERING: Final = 100
_RELEASED_AT_ONCE: Final = 2_000  # pages


class Needed(IntEnum):
    """What a copy needs, by urgency; the names are the reasons in logs and metrics."""

    NOTHING = 0
    GAP = 1
    """Revisions are missing: fill them."""
    LOST = 2
    """They cannot be filled: load."""
    EPOCH = 3
    """A new lineage: load."""
    START = 4
    """There is no copy: load."""
    DIGEST = 5
    """The copy is wrong: load, from the writer if that is possible."""


class Repair:
    """Mends one project's copy from the sources that there are."""

    def __init__(
        self,
        project: Project,
        bootstrap: Bootstrap,
        log: ChangeLog | None,
        origin: ChangesOrigin | None,
        metrics: Metrics,
        refusals: Refusals,
        clock: Clock,
        restore: Callable[[], Awaitable[Loaded | None]] | None = None,
    ) -> None:
        """`restore`: how to come by the copy that is kept on disk."""
        self._project = project
        self._bootstrap = bootstrap
        self._log = log
        self._origin = origin
        self._metrics = metrics
        self._refusals = refusals
        self._clock = clock
        self._restore = restore
        self._began = clock.monotonic()

    async def restore(self) -> bool:
        """Answer from what is kept on disk, if there is something; whether there is."""
        loaded = None if self._restore is None else await self._restore()
        return loaded is not None and await self._install(loaded, Needed.START, [])

    async def fill(self, target: Position | None, apply: Apply) -> bool:
        """Bring the copy to `target`, or to the log's end; False when only a load can help.

        Raises:
            UnavailableError: nobody can be asked now.
        """
        unavailable: list[str] = []
        gone = False
        for source in (Source.REDIS, Source.WRITER):
            try:
                filled = await self._fill_from(source, target, apply)
            except UnreadableError as error:
                if source is Source.WRITER:  # an entry of Redis's log is noted where it was read
                    self._refusals.note(self._project.id, "changes", error)
                gone = True
            except AheadError:
                self._project.found_ahead(self._clock.monotonic())
                return True  # nothing is missing here; the writer is the one that will move
            except SourceError as error:
                unavailable.append(f"{source}: {error}")
            else:
                if filled is Filled.REACHED:
                    return True
                gone = True
        if gone:
            return False
        raise UnavailableError("; ".join(unavailable))

    async def load(self, reason: Needed, first: Source) -> None:
        """Load a copy and answer from it; the one in use stays where that brings nothing better.

        Raises:
            UnavailableError: it brought nothing better; the message says why for each source.
        """
        spare: Loaded | None = None
        reasons: list[str] = []
        for source in sorted(LIVE, key=lambda source: source is not first):
            try:
                loaded = await self._bootstrap.load(source)
            except SourceError as error:
                self._note(source, error)
                reasons.append(f"{source}: {error}")
                continue
            if self._mends_nothing(loaded.copy, reason):
                reasons.append(f"{source}: it has not come further itself ({loaded.copy.position.token})")
            elif loaded.copy.faulty:
                spare = spare or loaded  # what it holds is right all the same, should there be nothing better
                reasons.append(f"{source}: what it holds is not whole")
            elif await self._install(loaded, reason, reasons):
                return
        if spare is None or not await self._install(spare, reason, reasons):
            raise UnavailableError("; ".join(reasons))

    def _mends_nothing(self, copy: Copy, reason: Needed) -> bool:
        """Whether a copy lacks just what is wanted: a source may be as far behind as we are."""
        held = self._project.replica.copy
        if held is None:
            return False
        if reason is Needed.EPOCH:
            return copy.position.epoch <= held.position.epoch
        return reason is Needed.LOST and held.complete and copy.position <= held.position

    async def _fill_from(self, source: Source, target: Position | None, apply: Apply) -> Filled:
        start = self._project.position
        if start is None:
            return Filled.GONE
        if target is not None and start >= target:
            return Filled.REACHED
        if source is Source.REDIS:
            if self._log is None:
                raise UnavailableError("REDIS_URL is not set")
            filled = await fill_from_log(self._log, self._project.id, start, apply, target)
        else:
            if self._origin is None:
                raise UnavailableError("WRITER_URL is not set")
            filled = await fill_from_origin(self._origin, self._project.id, start, apply, target)
        if self._project.position != start:
            self._metrics.gaps_filled.labels(self._project.id, source.value).inc()
        return filled

    def _note(self, source: Source, error: SourceError) -> None:
        """Count what cannot be read; what is only missing, or not whole yet, has no cause."""
        if isinstance(error, UnreadableError) and error.__cause__ is not None:
            self._refusals.note(self._project.id, "snapshot" if source is Source.WRITER else "cache", error)

    async def _install(self, loaded: Loaded, reason: Needed, reasons: list[str]) -> bool:
        project, copy = self._project, loaded.copy
        replaced = project.replica.copy
        now = self._clock.monotonic()
        outcome = project.install(copy, loaded.source, loaded.current_at, now, loaded.age)
        if outcome is not Installed.INSTALLED:
            reasons.append(f"{loaded.source}: what it holds is {outcome} ({copy.position.token})")
            return False
        if project.started is None:
            project.started = Start(loaded.source, now - self._began)
        self._metrics.loads.labels(project.id, loaded.source.value, reason.name.lower()).inc()
        _log.info(
            "loaded project=%s source=%s reason=%s position=%s users=%d complete=%s",
            project.id,
            loaded.source,
            reason.name.lower(),
            copy.position.token,
            copy.count,
            copy.complete,
        )
        if reason is Needed.DIGEST and replaced is not None:
            project.differing = await _differing(replaced, copy)
            _log.warning("found differing project=%s users=%d", project.id, len(project.differing))
        if replaced is not None:
            pages = list(replaced.records.pages.pages)
            del replaced
            await _release(pages)
        return True


async def _differing(replaced: Copy, copy: Copy) -> tuple[UserId, ...]:
    found: list[UserId] = []
    turns = Turns()
    for user in chain(copy.records, (user for user in replaced.records if user not in copy.records)):
        if replaced.lacks(copy, user):
            found.append(user)
            if len(found) == MOST_DIFFERING:
                break
        if turns.over():
            await turns.give()
    return tuple(found)


async def _release(pages: list[bytes]) -> None:
    """Let go of pages some at a time: a million users' at one stroke would be a pause that everybody feels."""
    while pages:
        del pages[-_RELEASED_AT_ONCE:]
        await asyncio.sleep(0)
