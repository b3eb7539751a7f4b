"""Which sidecars follow a project, and how far each of them is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import SECOND, Instant, format_time, from_datetime
from common.identifiers import ProjectId
from common.position import Position
from writer.operations import relaying
from writer.operations.projects import Project
from writer.operations.relaying import Relay
from writer.relay.presence import Presence

SILENT_SECONDS: Final = 5.0
"""A sidecar speaks once a second: who has said nothing for so long hangs, is cut off, or is gone."""

LATE_SECONDS: Final = 2.0
"""What was committed so lately may be on its way, or there already: a sidecar's word is up to a second old."""

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
    """It lacks nothing but what is on its way."""
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
    mend: str | None = None

    @property
    def position(self) -> Position | None:
        """Where it stood by its last word."""
        return self.presence.position


@dataclass(frozen=True, slots=True)
class Following:
    """A project, who relays it, and who follows it; those in trouble first."""

    project: Project
    relay: Relay
    sidecars: Sequence[Sidecar]


async def standing(
    connection: AsyncConnection, project: Project, listed: Sequence[Presence], now: Instant
) -> list[Sidecar]:
    """How each stands to the head; who was not heard of for an hour is left out. Those in trouble first."""
    seconds, head = now / SECOND, project.position
    lately = [one for one in listed if seconds - one.seen_at <= GONE_SECONDS]
    missing = [one.position.revision + 1 for one in lately if one.position is not None]
    parameters = {"project_id": project.id, "epoch": head.epoch, "revisions": missing, "seconds": LATE_SECONDS}
    fresh = set((await connection.execute(_FRESH, parameters)).scalars())
    found = [_judged(one, head, seconds, fresh) for one in lately]
    return sorted(found, key=lambda one: (one.state is State.IN_STEP, one.presence.instance))


def following_to_json(found: Following) -> dict[str, Any]:
    """All of it as routes and `--json` show it."""
    return {
        "project_id": found.project.public_id,
        "epoch": found.project.position.epoch,
        "revision": found.project.position.revision,
        "relay": relaying.to_json(found.relay),
        "sidecars": [to_json(one) for one in found.sidecars],
    }


def to_json(one: Sidecar) -> dict[str, Any]:
    """A sidecar as routes and `--json` show it: all that it says of itself, and how it stands."""
    seen_at = format_time(from_datetime(datetime.fromtimestamp(one.presence.seen_at, UTC)))
    named = {"instance": one.presence.instance, "seen_at": seen_at}
    stands = {"state": one.state.value, "behind": one.behind, "words": one.words, "mend": one.mend}
    position = {"epoch": None, "revision": None} if one.position is None else {}
    return {**position, **one.presence.facts, **named, **stands}


def _judged(one: Presence, head: Position, seconds: float, fresh: Collection[int]) -> Sidecar:
    position, silence = one.position, seconds - one.seen_at
    if position is None or silence > SILENT_SECONDS:
        last = "" if position is None else f"; it stood at {position.token} then"
        words = f"it has said nothing for {silence:.0f} s{last}"
        mend = "does its process run, and reach Redis? Restart it if it hangs"
        return Sidecar(one, State.SILENT, None if position is None else _behind(position, head), words, mend)
    behind = _behind(position, head)
    if behind is None:
        words = f"it stands at {position.token}, in another epoch than {head.token}"
        return Sidecar(
            one, State.OTHER_EPOCH, None, words, "it loads afresh by itself; where it stays, its log says why"
        )
    if behind and position.revision + 1 not in fresh:
        words = f"it stands at {position.token}, {behind} behind {head.token}"
        mend = "its log and its /status say why; billing verify compares what it holds; restart it if it stays so"
        return Sidecar(one, State.BEHIND, behind, words, mend)
    return Sidecar(one, State.IN_STEP, behind, f"it stands at {position.token}")


def _behind(position: Position, head: Position) -> int | None:
    return max(head.revision - position.revision, 0) if position.epoch == head.epoch else None


_FRESH: Final = text("""
SELECT revision FROM outbox WHERE project_id = :project_id AND epoch = :epoch
    AND revision = ANY(CAST(:revisions AS bigint[]))
    AND committed_at > clock_timestamp() - make_interval(secs => :seconds)
""")
