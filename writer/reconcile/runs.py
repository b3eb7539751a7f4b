"""Runs: one row each, claimed by one worker at a time, moved forward by it alone."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Final, NewType

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, from_datetime, to_datetime
from writer.reconcile.stages import RunKind, Stage, stages

RunId = NewType("RunId", int)

CLAIM_SECONDS: Final = 30.0
"""How long a run is left to a worker that is not heard of."""

FIRST_LOOK_BACK: Final = "30 days"
"""How far the very first run looks for what is over, and one after failures: as long as Stripe keeps events."""


KEPT: Final = "180 days"
"""How long a run's report can be read."""


class ClaimLostError(Exception):
    """Another worker has taken the run over: leave it alone."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run came to so far, in objects."""

    checked: int
    repaired: int
    unknown_in_stripe: int
    unknown_here: int
    unassigned: int
    failed: int

    def named(self) -> dict[str, int]:
        """By name, as reports show them."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its row says."""

    id: RunId
    kind: RunKind
    cause: str
    night: date | None
    since: Instant | None
    """Of what is over, only what was created then or later is listed; None: everything."""
    stage: Stage
    cursor: str | None
    began_at: Instant | None
    """When the stage's list was begun, by Stripe's clock."""
    counts: Counts
    attempts: int
    last_error: str | None
    claimed_by: str | None
    """None where nobody works on it just now."""
    created_at: Instant
    finished_at: Instant | None

    @property
    def whole(self) -> bool:
        """Whether everything is listed."""
        return self.since is None

    @property
    def progress(self) -> tuple[int, int]:
        """Stages done, and how many there are."""
        order = stages(self.kind, whole=self.whole)
        return (len(order) if self.finished_at is not None else order.index(self.stage)), len(order)


async def request_run(
    connection: AsyncConnection,
    cause: str,
    *,
    full: bool = False,
    kind: RunKind = RunKind.RECONCILE,
    night: date | None = None,
) -> RunId | None:
    """Have a run worked on soon: one that is open and does the same, or a new one. None: that night had its own.

    `cause`: `nightly`, `sweep`, `operator:NAME`. A run that is not `full` lists of what is over (invoices, sessions,
    refunds, disputes) only what may have changed since the last one was begun.
    """
    await connection.execute(_ONE_AT_A_TIME)
    parameters = {"kind": kind.value, "full": full, "cause": cause, "night": night}
    if night is not None and (await connection.execute(_HAD_ITS_OWN, parameters)).scalar_one():
        return None
    open_one = (await connection.execute(_OPEN, parameters)).scalar_one_or_none()
    if open_one is not None and night is None:
        return RunId(open_one)
    first = stages(kind, whole=full)[0]
    parameters |= {"stage": first.value, "look_back": FIRST_LOOK_BACK}
    return RunId((await connection.execute(_ADD, parameters)).scalar_one())


async def read(connection: AsyncConnection, run_id: int) -> Run | None:
    """A run by its id."""
    row = (await connection.execute(_READ, {"id": run_id})).one_or_none()
    return None if row is None else _run(row)


async def newest(connection: AsyncConnection, most: int, before: int | None = None) -> Sequence[Run]:
    """The last runs, the newest first; with `before` only those with a smaller id."""
    return [_run(row) for row in await connection.execute(_NEWEST, {"most": most, "before": before})]


async def claim(connection: AsyncConnection, instance: str, kind: RunKind, run_id: RunId | None = None) -> Run | None:
    """Take the oldest open run that is due and nobody's, or `run_id` if it is; None: there is none."""
    parameters = {"instance": instance, "kind": kind.value, "id": run_id, "seconds": CLAIM_SECONDS}
    row = (await connection.execute(_CLAIM, parameters)).one_or_none()
    return None if row is None else _run(row)


async def renew(connection: AsyncConnection, run: Run) -> None:
    """Keep the claim for another while; ClaimLostError."""
    await _one(connection, _RENEW, {**_own(run), "seconds": CLAIM_SECONDS})


async def move(
    connection: AsyncConnection,
    run: Run,
    *,
    stage: Stage,
    cursor: str | None,
    began_at: Instant | None,
    checked: int = 0,
) -> Run:
    """Record how far the run is; ClaimLostError where somebody else moved it."""
    parameters = {
        **_own(run),
        "old_stage": run.stage.value,
        "old_cursor": run.cursor,
        "stage": stage.value,
        "cursor": cursor,
        "began_at": None if began_at is None else to_datetime(began_at),
        "checked": checked,
        "seconds": CLAIM_SECONDS,
    }
    return _run(await _one(connection, _MOVE, parameters))


async def finish(connection: AsyncConnection, run: Run) -> Run:
    """The run is done; ClaimLostError."""
    return _run(await _one(connection, _FINISH, _own(run)))


async def forget(connection: AsyncConnection, run: Run) -> None:
    """Drop runs that ended long before this one, with their findings."""
    await connection.execute(_FORGET, {"id": run.id, "kept": KEPT})


async def put_off(connection: AsyncConnection, run: Run, pause: float, reason: str) -> Run:
    """Try again after `pause` seconds; whoever comes first may. ClaimLostError."""
    return _run(await _one(connection, _PUT_OFF, {**_own(run), "pause": pause, "reason": reason}))


async def release(connection: AsyncConnection, run: Run) -> None:
    """Leave the run to whoever comes."""
    await connection.execute(_RELEASE, _own(run))


def _own(run: Run) -> dict[str, Any]:
    return {"id": run.id, "instance": run.claimed_by}


async def _one(connection: AsyncConnection, statement: Any, parameters: dict[str, Any]) -> Row[Any]:
    row = (await connection.execute(statement, parameters)).one_or_none()
    if row is None:
        raise ClaimLostError(ClaimLostError.__doc__)
    return row


def _run(row: Row[Any]) -> Run:
    return Run(
        id=RunId(row.id),
        kind=RunKind(row.kind),
        cause=row.cause,
        night=row.night,
        since=_instant(row.since),
        stage=Stage(row.stage),
        cursor=row.cursor,
        began_at=_instant(row.began_at),
        counts=Counts(
            row.checked, row.repaired, row.unknown_in_stripe, row.unknown_here, row.unassigned, row.failed
        ),
        attempts=row.attempts,
        last_error=row.last_error,
        claimed_by=row.claimed_by if row.is_claimed else None,
        created_at=from_datetime(row.created_at),
        finished_at=_instant(row.finished_at),
    )  # fmt: skip


def _instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else from_datetime(moment)


_ONE_AT_A_TIME: Final = text("SELECT pg_advisory_xact_lock(7070000003)")

_HAD_ITS_OWN: Final = text("SELECT EXISTS (SELECT FROM reconcile_runs WHERE night = CAST(:night AS date))")

_OPEN: Final = text("""
SELECT id FROM reconcile_runs
WHERE finished_at IS NULL AND kind = :kind AND (since IS NULL OR NOT :full) ORDER BY id LIMIT 1
""")

# A run that could not compare everything is no good beginning for the next one, as long as it is not ages ago.
_ADD: Final = text("""
INSERT INTO reconcile_runs (kind, cause, night, stage, since)
VALUES (:kind, :cause, CAST(:night AS date), :stage, CASE WHEN NOT :full AND :kind = 'reconcile' THEN (
    SELECT greatest(max(created_at) FILTER (WHERE failed = 0),
        least(max(created_at), now() - CAST(CAST(:look_back AS text) AS interval)))
    FROM reconcile_runs WHERE finished_at IS NOT NULL) END)
RETURNING id
""")

_COLUMNS: Final = "*, claimed_until > now() AND finished_at IS NULL AS is_claimed"

_READ: Final = text(f"SELECT {_COLUMNS} FROM reconcile_runs WHERE id = :id")  # noqa: S608 - a constant of ours

_NEWEST: Final = text(f"""
SELECT {_COLUMNS} FROM reconcile_runs
WHERE CAST(:before AS bigint) IS NULL OR id < CAST(:before AS bigint) ORDER BY id DESC LIMIT :most
""")  # noqa: S608

_CLAIM: Final = text(f"""
UPDATE reconcile_runs SET claimed_by = :instance,
    claimed_until = now() + make_interval(secs => CAST(:seconds AS double precision))
WHERE id = (
    SELECT id FROM reconcile_runs
    WHERE finished_at IS NULL AND kind = :kind AND next_attempt_at <= now()
        AND (CAST(:id AS bigint) IS NULL OR id = CAST(:id AS bigint))
        AND (claimed_until IS NULL OR claimed_until <= now() OR claimed_by = :instance)
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING {_COLUMNS}
""")  # noqa: S608

_RENEW: Final = text("""
UPDATE reconcile_runs SET claimed_until = now() + make_interval(secs => CAST(:seconds AS double precision))
WHERE id = :id AND claimed_by = :instance AND finished_at IS NULL RETURNING id
""")

# Seconds of the claim begin anew with each step, so that a page may take as long as it takes.
_MOVE: Final = text(f"""
UPDATE reconcile_runs SET stage = :stage, cursor = :cursor, began_at = :began_at, checked = checked + :checked,
    attempts = 0, last_error = NULL,
    claimed_until = now() + make_interval(secs => CAST(:seconds AS double precision))
WHERE id = :id AND claimed_by = :instance AND finished_at IS NULL
    AND stage = :old_stage AND cursor IS NOT DISTINCT FROM CAST(:old_cursor AS text)
RETURNING {_COLUMNS}
""")  # noqa: S608

_FINISH: Final = text(f"""
UPDATE reconcile_runs SET finished_at = now(), claimed_by = NULL, claimed_until = NULL, attempts = 0, last_error = NULL
WHERE id = :id AND claimed_by = :instance AND finished_at IS NULL
RETURNING {_COLUMNS}
""")  # noqa: S608

_FORGET: Final = text("""
DELETE FROM reconcile_runs WHERE id < :id AND finished_at < now() - CAST(CAST(:kept AS text) AS interval)
""")

_PUT_OFF: Final = text(f"""
UPDATE reconcile_runs SET attempts = attempts + 1, last_error = :reason, claimed_by = NULL, claimed_until = NULL,
    next_attempt_at = now() + make_interval(secs => CAST(:pause AS double precision))
WHERE id = :id AND claimed_by = :instance AND finished_at IS NULL
RETURNING {_COLUMNS}
""")  # noqa: S608

_RELEASE: Final = text("""
UPDATE reconcile_runs SET claimed_by = NULL, claimed_until = NULL WHERE id = :id AND claimed_by = :instance
""")
