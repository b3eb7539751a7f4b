"""What operators ask of reconciling: to begin a run, and to see how runs went. For admin routes and commands."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, format_time
from writer.db.transaction import Transactions
from writer.operations import audit
from writer.operations.audit import Act, Actor
from writer.reconcile import findings, runs
from writer.reconcile.findings import FindingKind, Kept
from writer.reconcile.runs import Run
from writer.refusals import UnknownError

MOST_RUNS: Final = 100


@dataclass(frozen=True, slots=True)
class Report:
    """A run with what was kept of its findings."""

    run: Run
    kept: Sequence[Kept]


class ReconcileRequests:
    """Acts and reads, each one transaction. `on_request` is called after a run was asked for."""

    def __init__(self, transactions: Transactions, on_request: Callable[[], None]) -> None:
        self._transactions = transactions
        self._on_request = on_request

    async def begin(self, actor: Actor, *, full: bool) -> Run:
        """The run that is open and does the same, or a new one."""

        async def work(connection: AsyncConnection) -> Run:
            run_id = await runs.request_run(connection, f"operator:{actor.name}", full=full)
            if run_id is None:
                raise AssertionError("only a night can have had its run")
            act = Act("reconcile.request", None, f"reconcile:{run_id}", after={"full": full})
            await audit.record(connection, actor, act)
            return await _known(connection, run_id)

        run = await self._transactions.run(work)
        self._on_request()
        return run

    async def run(self, run_id: int) -> Run:
        """A run as it stands; UnknownError `unknown_run`."""
        return await self._transactions.run(lambda connection: _known(connection, run_id))

    async def recent(self, most: int, before: int | None = None) -> Sequence[Run]:
        """The last runs, the newest first; with `before` only those with a smaller id."""
        return await self._transactions.run(lambda connection: runs.newest(connection, most, before))

    async def report(self, run_id: int | None, most: int, kind: FindingKind | None = None) -> Report:
        """A run, the newest where none is named, with at most so many findings of each kind."""

        async def work(connection: AsyncConnection) -> Report:
            run = await _known(connection, run_id)
            return Report(run, await findings.of_run(connection, run.id, most, kind))

        return await self._transactions.run(work)


async def _known(connection: AsyncConnection, run_id: int | None) -> Run:
    if run_id is not None:
        run = await runs.read(connection, run_id)
    else:
        run = next(iter(await runs.newest(connection, 1)), None)
    if run is None:
        named = "no run was ever asked for" if run_id is None else f"there is no run {run_id}"
        raise UnknownError("unknown_run", f"{named}: billing reconcile begins one")
    return run


def run_to_json(run: Run) -> dict[str, Any]:
    """A run in its public shape; times are RFC 3339 UTC."""
    done, stages = run.progress
    return {
        "run_id": run.id,
        "kind": run.kind.value,
        "cause": run.cause,
        "full": run.whole,
        "since": _time(run.since),
        "state": "finished" if run.finished_at is not None else "running" if run.claimed_by else "waiting",
        "stage": run.stage.value,
        "stages_done": done,
        "stages": stages,
        **run.counts.named(),
        "attempts": run.attempts,
        "last_error": run.last_error,
        "created_at": format_time(run.created_at),
        "finished_at": _time(run.finished_at),
    }


def report_to_json(report: Report) -> dict[str, Any]:
    """A report in its public shape."""
    return {
        **run_to_json(report.run),
        "findings": [
            {
                "finding": kept.finding.kind.value,
                "object_id": kept.finding.object_id,
                "detail": kept.finding.detail,
                "found_at": format_time(kept.found_at),
            }
            for kept in report.kept
        ],
    }


def _time(instant: Instant | None) -> str | None:
    return None if instant is None else format_time(instant)
