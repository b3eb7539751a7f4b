"""From where a copy stands to a later revision, change by change: out of Redis's change log, or the writer's."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, Protocol

from common.identifiers import ProjectId
from common.position import Position
from common.transfer import ChangesPage
from common.wire import Change
from sidecar.replica import Applied
from sidecar.sources import ChangesGoneError
from sidecar.turns import Turns

PAGE: Final = 64  # entries read without a pause: one or two milliseconds during which nobody is answered

MOST_MISSING: Final = 100_000
"""Revisions that the writer is asked for one after the other; where more are missing a whole copy comes sooner."""

Apply = Callable[[Change], Applied]


class ChangeLog(Protocol):
    """Redis's change log."""

    async def changes(self, project: ProjectId, after: Position, most: int) -> Sequence[Change]:
        """At most `most` entries beyond `after` in its epoch, in order; the first ones may be gone."""
        ...


class ChangesOrigin(Protocol):
    """The writer's changes."""

    async def changes(self, project: ProjectId, after: Position, wait: float) -> ChangesPage:
        """Changes right after `after`; without any, the answer comes after at most `wait` seconds.

        Raises:
            ChangesGoneError: it cannot continue from there.
            AheadError: it has not come as far as `after`.
        """
        ...


class Filled(StrEnum):
    """What became of filling a gap."""

    REACHED = "reached"
    """Everything to the wanted revision was applied, or to the source's end where none was named."""
    GONE = "gone"
    """The source no longer has what is missing, or not yet."""


async def fill_from_log(
    log: ChangeLog, project: ProjectId, start: Position, apply: Apply, target: Position | None
) -> Filled:
    """Apply the log from `start` to its end.

    Its first entry must be the next revision; a log that ends below the target, or is empty, is a gap too.
    """
    position = start
    while changes := await log.changes(project, position, PAGE):
        if not await _apply_all(changes, apply):
            return Filled.GONE
        position = changes[-1].position
        if len(changes) < PAGE:
            break
    return Filled.REACHED if target is None or position >= target else Filled.GONE


async def fill_from_origin(
    origin: ChangesOrigin, project: ProjectId, start: Position, apply: Apply, target: Position | None
) -> Filled:
    """Apply the writer's changes from `start` to its committed head."""
    position = start
    while True:
        try:
            page = await origin.changes(project, position, wait=0.0)
        except ChangesGoneError:
            return Filled.GONE
        if not await _apply_all(page.changes, apply):
            return Filled.GONE
        if page.changes:
            position = page.changes[-1].position
        if not page.changes or position.revision >= page.heartbeat.head:
            break
        if page.heartbeat.head - position.revision > MOST_MISSING:
            return Filled.GONE
    return Filled.REACHED if target is None or position >= target else Filled.GONE


async def _apply_all(changes: Sequence[Change], apply: Apply) -> bool:
    """False at the first change that does not continue where the copy stands."""
    turns = Turns()
    for change in changes:
        if apply(change) in (Applied.GAP, Applied.NEW_EPOCH):
            return False
        if turns.over():
            await turns.give()
    return True
