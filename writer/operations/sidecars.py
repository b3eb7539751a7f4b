"""Which sidecars follow a project, and how far each of them is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from common.clock import SECOND, Instant, format_time, from_datetime
from common.identifiers import ProjectId
from common.position import Position
from writer.relay.presence import Presence

SILENT_SECONDS: Final = 5.0
"""A sidecar speaks once a second: who has said nothing for so long hangs, is cut off, or is gone."""

GONE_SECONDS: Final = 3_600.0
"""Who has been silent for longer is taken for ended, and not told of."""


class SidecarDirectory(Protocol):
    """Who follows a project, by its own word; CacheFaultError where Redis cannot be asked."""

    async def listed(self, project: ProjectId) -> Sequence[Presence]:
        """The sidecars that were seen lately, also those that are silent now."""
        ...


class State(StrEnum):
    """How a sidecar stands to the project's head."""

    IN_STEP = "in_step"
    BEHIND = "behind"
    OTHER_EPOCH = "other_epoch"
    """It follows a lineage of revisions that is over, and will load afresh."""
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """One sidecar at a moment. `behind` in revisions; None in another epoch, or where it does not say where it is."""

    presence: Presence
    state: State
    behind: int | None
    words: str

    @property
    def position(self) -> Position | None:
        """Where it stood by its last word."""
        return self.presence.position


def judged(listed: Sequence[Presence], head: Position, now: Instant) -> list[Sidecar]:
    """How each stands to the head; who was not heard of for an hour is left out. Those in trouble first."""
    seconds = now / SECOND
    found = [_judged(one, head, seconds) for one in listed if seconds - one.seen_at <= GONE_SECONDS]
    return sorted(found, key=lambda one: (one.state is State.IN_STEP, one.presence.instance))


def to_json(one: Sidecar) -> dict[str, Any]:
    """A sidecar as routes and `--json` show it: all that it says of itself, and how it stands."""
    seen_at = format_time(from_datetime(datetime.fromtimestamp(one.presence.seen_at, UTC)))
    named = {"instance": one.presence.instance, "seen_at": seen_at}
    stands = {"state": one.state.value, "behind": one.behind, "words": one.words}
    position = {"epoch": None, "revision": None} if one.position is None else {}
    return {**position, **one.presence.facts, **named, **stands}


def _judged(one: Presence, head: Position, seconds: float) -> Sidecar:
    position = one.position
    behind = None
    if position is not None and position.epoch == head.epoch:
        behind = max(head.revision - position.revision, 0)
    silence = seconds - one.seen_at
    if silence > SILENT_SECONDS or position is None:
        last = "" if position is None else f"; it stood at {position.token} then"
        words = f"it has said nothing for {silence:.0f} s{last}: does its process run, and does it reach Redis?"
        return Sidecar(one, State.SILENT, behind, words)
    if behind is None:
        words = f"it stands at {position.token}, in another epoch than {head.token}: it will load afresh"
        return Sidecar(one, State.OTHER_EPOCH, None, words)
    if behind:
        words = f"it stood at {position.token} {silence:.1f} s ago, {behind} behind {head.token}"
        return Sidecar(one, State.BEHIND, behind, words)
    return Sidecar(one, State.IN_STEP, 0, f"it stands at {position.token}, as the writer")
