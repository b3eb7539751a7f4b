"""`billing reconcile`."""

import asyncio
import sys
from typing import Any, Final
from uuid import uuid4

import click

from writer import settings
from writer.cli.progress import progress
from writer.cli.session import actor, fail, json_option, on_ground, print_json, print_table, told
from writer.cli.stripe_session import on_ground_with_stripe
from writer.gateway.transport import StripeTransport
from writer.operations.operating import Ground
from writer.reconcile.assembly import standalone, worker
from writer.reconcile.requests import ReconcileRequests, Report, report_to_json, run_to_json
from writer.reconcile.runs import Run
from writer.reconcile.worker import Told, Worker
from writer.wakeup import Wakeup

_POLL_SECONDS: Final = 0.5
_SHOWN: Final = 20
_INTERRUPTED: Final = 130
_LATEST: Final = "last"


@click.command()
@click.option("--full", is_flag=True, help="List everything, also what is long over.")
@click.option(
    "--report",
    "reported",
    is_flag=False,
    flag_value=_LATEST,
    metavar="[RUN]",
    help="Compare nothing; show the report of a run, or of the last one.",
)
@json_option
def reconcile(*, full: bool, reported: str | None, as_json: bool) -> None:
    """Compare every open subscription and purchase with Stripe, and repair what differs.

    Works beside running writers or without one. Ctrl-C leaves the run where it is: a writer goes on with it, or the
    next `billing reconcile`. Exit status 1 where something could not be compared or repaired.

    \b
    Examples:
      billing reconcile
      billing reconcile --full --json
      billing reconcile --report
      billing reconcile --report 12
    """
    if reported is not None:
        report = on_ground(lambda ground: _requests(ground).report(_run_id(reported), _most(as_json=as_json)))
    else:
        try:
            report = on_ground_with_stripe(
                lambda ground, transport: _reconcile(ground, transport, full=full, as_json=as_json)
            )
        except KeyboardInterrupt:
            click.echo("billing: left as it is; a writer goes on with it, or billing reconcile", err=True)
            sys.exit(_INTERRUPTED)
    if as_json:
        print_json(report_to_json(report))
    else:
        _print(report)
    if reported is None and report.run.counts.failed:
        fail(f"{report.run.counts.failed} objects failed: billing reconcile --report {report.run.id} says why")


async def _reconcile(ground: Ground, transport: StripeTransport, *, full: bool, as_json: bool) -> Report:
    name = f"{actor().name}:{uuid4().hex[:8]}"
    livemode = told(settings.read_stripe).livemode
    station = standalone(
        ground.engine, ground.transactions, ground.recompute, ground.clock, transport, instance=name, livemode=livemode
    )
    requests = _requests(ground)
    run = await requests.begin(actor(), full=full)
    with progress(quiet=as_json) as show:
        await _through(worker(station, Wakeup()), requests, run, lambda run: show(_words(run), *run.progress))
    return await requests.report(run.id, _most(as_json=as_json))


async def _through(working: Worker, requests: ReconcileRequests, run: Run, show: Told) -> None:
    """See the run to its end: by own work, or by watching the writer that works on it."""
    while run.finished_at is None:
        worked = await working.work_on(run.kind, run.id, show)
        run = await requests.run(run.id) if worked is None else worked
        show(run)
        if run.finished_at is None:
            await asyncio.sleep(_POLL_SECONDS)


def _words(run: Run) -> str:
    where = f"run {run.id}  {run.stage.value.replace('_', ' ')}  {run.counts.checked} compared"
    repaired = run.counts.repaired + run.counts.unknown_here
    if repaired:
        where += f", {repaired} repaired"
    return f"{where}  (waits: {run.last_error})" if run.last_error else where


def _print(report: Report) -> None:
    run = report.run
    shown = run_to_json(run)
    click.echo(
        f"run {run.id} ({run.cause}{', full' if run.whole else ''}): {shown['state']}, begun {shown['created_at']}"
    )
    if run.finished_at is None:
        click.echo(f"  at {run.stage.value}, stage {run.progress[0] + 1} of {run.progress[1]}")
    if run.last_error:
        click.echo(f"  waits since: {run.last_error}")
    for name, count in run.counts.named().items():
        click.echo(f"  {name.replace('_', ' '):<18} {count}")
    rows = [(kept.finding.kind.value, kept.finding.object_id, _detail(kept.finding.detail)) for kept in report.kept]
    if rows:
        print_table(("finding", "object", "what"), rows, none="")
        click.echo(f"at most {_SHOWN} of each are shown: billing reconcile --report {run.id} --json shows more")


def _detail(detail: Any) -> str:
    if "reason" in detail:
        return str(detail["reason"])
    return ", ".join(
        name if change is None else f"{name}: {change[0]} → {change[1]}" for name, change in detail.items()
    )


def _requests(ground: Ground) -> ReconcileRequests:
    return ReconcileRequests(ground.transactions, lambda: None)


def _most(*, as_json: bool) -> int:
    return 1_000 if as_json else _SHOWN


def _run_id(text: str) -> int | None:
    if text == _LATEST:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < len(str(2**63))):
        fail(f"{text} is no run: a run is named by its number")
    return int(text)
