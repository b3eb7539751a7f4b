"""Keeps a project's copy on disk: reads it at the start, saves it while it moves, and at the end. No answer waits."""

import asyncio
import logging
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Protocol

from common.clock import SECOND, Clock, Instant
from common.identifiers import ProjectId
from common.position import Position
from sidecar.bootstrap import Loaded
from sidecar.copy_file import Contents, CopyFileError, Head, grant_lines
from sidecar.disk import Saved
from sidecar.metrics import Metrics
from sidecar.project import OnDisk, Project
from sidecar.replica import Copy, Proof
from sidecar.sources import Source

_log = logging.getLogger(__name__)

_UNMOVED: Final = 10
"""Periods after which a copy that did not move is saved again: what it says of its age grows old."""


class CopyDisk(Protocol):
    """Where copies stand; blocking."""

    def read(self, project: ProjectId) -> Contents | None:
        """The project's copy; None where there is none, CopyFileError where what is there may not be taken."""
        ...

    def save(self, head: Head, grants: list[list[Any]], pages: list[bytes]) -> Saved:
        """Put a copy in place of the one before, unless that is newer; `pages` is emptied on the way."""
        ...


@dataclass(frozen=True, slots=True)
class _Last:
    position: Position
    at: float


class Keeper:
    """One project's copy in the folder. `every`: seconds between two saves."""

    def __init__(
        self, project: Project, disk: CopyDisk, metrics: Metrics, clock: Clock, rng: Random, every: float
    ) -> None:
        self._project = project
        self._disk = disk
        self._metrics = metrics
        self._clock = clock
        self._rng = rng
        self._every = every
        self._last: _Last | None = None
        self._state = project.on_disk = OnDisk()

    async def restore(self) -> Loaded | None:
        """The copy that stands on disk; None where there is none that may be taken, which is told."""
        project = self._project.id
        try:
            found = await asyncio.to_thread(self._disk.read, project)
        except CopyFileError as error:
            self._state.refused = str(error)
            self._metrics.refused_copies.labels(project, error.refusal.value).inc()
            _log.error("refused the copy on disk project=%s kind=%s error=%s", project, error.refusal.value, error)
            return None
        if found is None:
            return None
        head = found.head
        copy = Copy.restored(project, head.catalogue, head.position, found.grants, found.pages, head.count)
        copy.digest = head.digest
        copy.proof = Proof.MATCHED if head.complete else Proof.NONE
        self._state.position, self._state.saved_at = head.position, head.saved_at
        # By wall clocks, which may have been set back since; by the copy's own word it was `age` old already.
        age = head.age + max(0, self._clock.now() - head.saved_at) / SECOND
        self._last = _Last(head.position, self._clock.monotonic())
        return Loaded(copy, Source.DISK, None, age)

    async def run(self) -> None:
        """Save whenever there is something to save, forever."""
        while True:
            await asyncio.sleep(self._every * (0.75 + self._rng.random() / 2))
            await self._save(self._every * _UNMOVED)

    async def last_save(self) -> None:
        """Save at the end, should it be worth it."""
        await self._save(self._every)

    async def _save(self, unmoved: float) -> None:
        """Save a copy that has moved, or did not for `unmoved` seconds."""
        copy = self._project.replica.copy
        if copy is None or copy.faulty:
            return  # what stands there is as good, or better
        now, last = self._clock.monotonic(), self._last
        if last is not None and last.position == copy.position and now - last.at < unmoved:
            return
        head = self._head(copy, self._clock.now(), now)
        grants, pages = list(copy.records.grants.listed), list(copy.records.pages.pages)
        outcome = "failed"
        try:
            outcome = await asyncio.to_thread(self._disk.save, head, grants, pages)
        except OSError as error:
            self._failed(error)
        else:
            self._last = _Last(head.position, now)
            self._state.error = None
            if outcome is Saved.SAVED:
                self._state.position, self._state.saved_at = head.position, head.saved_at
        self._metrics.saves.labels(self._project.id, str(outcome)).inc()

    def _head(self, copy: Copy, now: Instant, monotonic: float) -> Head:
        return Head(
            copy.project,
            copy.position,
            copy.count,
            copy.digest,
            copy.complete,
            now,
            self._project.freshness.age(monotonic),
            copy.catalogue,
            len(copy.records.pages.pages),
            grant_lines(copy.records.grants.listed),
        )

    def _failed(self, error: OSError) -> None:
        if self._state.error is None:
            _log.warning("cannot save the copy project=%s error=%s; trying on", self._project.id, error)
        self._state.error = str(error)
