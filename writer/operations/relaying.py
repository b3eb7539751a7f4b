"""Who relays a project to Redis and how far that has come; and taking the lease from a writer that is no more."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, format_time, from_datetime
from common.position import Position
from writer.operations import audit
from writer.operations.audit import Act, Actor
from writer.operations.projects import Project
from writer.refusals import ConflictError
from writer.relay.lease import LEASE_SECONDS

_LONGEST: Final = 10 * LEASE_SECONDS
"""No writer takes a lease for so long, whatever the clocks of writers do: the database's own had jumped."""


class RelayState(StrEnum):
    """Whether somebody relays."""

    HELD = "held"
    FREE = "free"
    """No writer holds the lease: none runs, or one takes it within a second."""
    STUCK = "stuck"
    """It is held until long after any writer could have taken it for; nobody relays, and nobody can take it."""


@dataclass(frozen=True, slots=True)
class Relay:
    """A lease. `relayed`: all up to there is in Redis, or was. `behind` in revisions; None in another epoch."""

    state: RelayState
    owner: str | None
    until: Instant | None
    relayed: Position
    behind: int | None
    words: str
    mend: str | None = None


async def read(connection: AsyncConnection, project: Project) -> Relay:
    """As it stands by the database's clock."""
    row = (await connection.execute(_LEASE, {"project_id": project.id, "longest": _LONGEST})).one_or_none()
    if row is None:
        return _free(project, Position(0, 0))
    relayed = Position(row.relayed_epoch, row.relayed_revision)
    if row.owner is None or row.over:
        return _free(project, relayed)
    until = from_datetime(row.expires_at)
    behind = _behind(relayed, project)
    if row.stuck:
        words = (
            f"nobody relays: {row.owner} holds the lease until {format_time(until)}, longer than any writer takes one"
        )
        mend = f'is {row.owner} gone? billing relay release {project.public_id} --reason "…"'
        return Relay(RelayState.STUCK, row.owner, until, relayed, behind, words, mend)
    return Relay(
        RelayState.HELD, row.owner, until, relayed, behind, f"{row.owner} relays it, and is at {relayed.token}"
    )


async def release(connection: AsyncConnection, project: Project, reason: str | None, actor: Actor) -> Relay:
    """Free a lease that is stuck, for any writer to take; ConflictError `lease_in_use` where it is renewed."""
    before = await read(connection, project)
    if before.state is RelayState.HELD:
        detail = (
            f"{before.owner} relays {project.public_id} and renews its lease: stop that writer, and another takes over"
        )
        raise ConflictError("lease_in_use", detail)
    if before.state is RelayState.STUCK:
        await connection.execute(_RELEASE, {"project_id": project.id, "owner": before.owner})
        subject = f"project:{project.public_id}"
        act = Act("relay.release", project.id, subject, reason, before={"owner": before.owner, "until": _time(before)})
        await audit.record(connection, actor, act)
    return await read(connection, project)


def to_json(relay: Relay) -> dict[str, Any]:
    """As routes and `--json` show it."""
    return {
        "state": relay.state.value,
        "owner": relay.owner,
        "until": _time(relay),
        "epoch": relay.relayed.epoch,
        "revision": relay.relayed.revision,
        "behind": relay.behind,
        "words": relay.words,
        "mend": relay.mend,
    }


def _free(project: Project, relayed: Position) -> Relay:
    words = "nobody relays: no writer holds the lease"
    mend = "does a writer run? One takes it within a second"
    return Relay(RelayState.FREE, None, None, relayed, _behind(relayed, project), words, mend)


def _behind(relayed: Position, project: Project) -> int | None:
    head = project.position
    return max(head.revision - relayed.revision, 0) if relayed.epoch == head.epoch else None


def _time(relay: Relay) -> str | None:
    return None if relay.until is None else format_time(relay.until)


# What never ends, or has no owner, has no time that can be read; an owner's lease always has.
_LEASE: Final = text("""
SELECT owner, relayed_epoch, relayed_revision, expires_at <= clock_timestamp() AS over,
    expires_at > clock_timestamp() + make_interval(secs => :longest) AS stuck,
    CASE WHEN isfinite(expires_at) THEN expires_at ELSE clock_timestamp() END AS expires_at
FROM relay_leases WHERE project_id = :project_id
""")

_RELEASE: Final = text("""
UPDATE relay_leases SET owner = NULL, expires_at = '-infinity', fence = fence + 1
WHERE project_id = :project_id AND owner = :owner
""")
