"""One project as every part of the sidecar sees it: its replica, its age, and how it is being kept in step."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from common.clock import Instant
from common.identifiers import ProjectId, UserId
from common.position import Position
from common.wire import Change
from sidecar.arrivals import Arrivals
from sidecar.freshness import Freshness, StalePolicy
from sidecar.replica import Applied, Copy, Installed, Replica
from sidecar.sources import Source
from sidecar.watchers import Watchers

SILENCE: Final = 3.0
"""Seconds without a heartbeat after which a way counts as broken: three heartbeats."""

PERSISTENT: Final = 3.0
"""Seconds for which the copy must stand ahead of the writer to be called so; a late heartbeat looks like it, too."""


class Mode(StrEnum):
    """What keeps a project in step now."""

    REDIS = "redis"
    WRITER = "writer"
    NONE = "none"


@dataclass(slots=True)
class OnDisk:
    """What is on disk of a project, for people to look at."""

    position: Position | None = None
    saved_at: Instant | None = None
    error: str | None = None
    """Why the last save failed."""
    refused: str | None = None
    """Why what stood there at the start was not taken."""


@dataclass(frozen=True, slots=True)
class Start:
    """How the first copy came."""

    source: Source
    seconds: float
    """Since the project began to be followed."""


class Project:
    """The live state of one project. Only its follower writes to it."""

    def __init__(self, project: ProjectId, policy: StalePolicy) -> None:
        self.id = project
        self.replica = Replica(project)
        self.freshness = Freshness(policy)
        self.arrivals = Arrivals()
        self.watchers = Watchers()
        self.head: Position | None = None
        """The newest committed position that was heard of."""
        self.source: Source | None = None
        """Where the copy in use was loaded from."""
        self.differing: tuple[UserId, ...] = ()
        """Users found differing after the last repair."""
        self.started: Start | None = None
        """None before the first load."""
        self.on_disk: OnDisk | None = None
        """None where nothing is kept on disk."""
        self._heartbeats: dict[Source, float] = {}
        self._ahead_since: float | None = None

    @property
    def position(self) -> Position | None:
        """Where the copy stands; None before the first load."""
        copy = self.replica.copy
        return None if copy is None else copy.position

    def apply(self, change: Change) -> Applied:
        """Apply a change to the copy in use, and wake who waits for it."""
        copy = self.replica.copy
        if copy is None:
            return Applied.GAP
        outcome = copy.apply(change)
        if outcome is Applied.APPLIED:
            self._moved(copy)
            self.watchers.changed(change)
        return outcome

    def install(
        self, candidate: Copy, source: Source, current_at: float | None, now: float, age: float = 0.0
    ) -> Installed:
        """Answer from a freshly loaded copy if it is better.

        `current_at`: when it was known to be current; `age`: else, how many seconds ago that was at the latest.
        """
        outcome = self.replica.install(candidate)
        if outcome is Installed.INSTALLED:
            self.source = source
            self.head = candidate.position if self.head is None else max(self.head, candidate.position)
            self._ahead_since = None  # should it be so still, the next heartbeat will show it
            self.freshness.loaded(now - age)
            if current_at is not None:
                self.freshness.confirmed(current_at)
            self._moved(candidate)
            self.watchers.everything_changed()
        return outcome

    def heard(self, source: Source, head: Position, at: float) -> None:
        """A heartbeat of our epoch or a newer one came."""
        self._heartbeats[source] = at
        position = self.position
        known = max(self.head or head, position or head)
        if head >= known:  # else it was said before what is known already, and came late
            self.freshness.heard(head, at)
        self.head = max(self.head or head, head)
        if position is not None:
            self.freshness.reached(position)
            if head >= position:
                self._ahead_since = None
            else:
                self.found_ahead(at)

    def found_ahead(self, at: float) -> None:
        """The writer was found behind the copy."""
        if self._ahead_since is None:
            self._ahead_since = at

    def ahead(self, now: float) -> bool:
        """Whether the copy has stood ahead of the writer for some time; the writer answers with a new epoch."""
        return self._ahead_since is not None and now - self._ahead_since >= PERSISTENT

    def silent_in(self, source: Source, now: float) -> float:
        """Seconds until `source` counts as silent; 0 when it does."""
        last = self._heartbeats.get(source)
        return 0.0 if last is None else max(0.0, last + SILENCE - now)

    def mode(self, now: float) -> Mode:
        """What keeps the project in step now."""
        if self.silent_in(Source.REDIS, now):
            return Mode.REDIS
        return Mode.WRITER if self.silent_in(Source.WRITER, now) else Mode.NONE

    def _moved(self, copy: Copy) -> None:
        self.freshness.reached(copy.position)
        self.arrivals.reached(copy.position)
