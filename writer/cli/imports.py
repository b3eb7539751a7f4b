"""`billing import`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from writer import settings
from writer.cli.progress import progress
from writer.cli.session import (
    Exit,
    actor,
    answerable,
    confirm,
    fail,
    json_option,
    print_json,
    print_table,
    told,
    yes_option,
)
from writer.cli.stripe_session import on_ground_with_stripe
from writer.gateway.transport import StripeTransport
from writer.operations.operating import Ground
from writer.reconcile.requests import run_to_json
from writer.reconcile.runs import Run
from writer.takeover import customer_map, report
from writer.takeover.customer_map import CustomerMapError, Mapped
from writer.takeover.importing import Import, Imported, Survey
from writer.takeover.report import ImportReport

_SHOWN: Final = 20
_INTERRUPTED: Final = 130


@click.command(name="import")
@click.option("--dry-run", is_flag=True, help="Only tell what an import would come to; nothing is written.")
@click.option(
    "--map",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV with the columns customer_id, user_id and, where needed, project_id.",
)
@yes_option
@json_option
def import_(*, dry_run: bool, file: Path | None, yes: bool, as_json: bool) -> None:
    """Bring in what was bought before this service existed: customers, subscriptions, one-time purchases.

    The account is read once and reported on. Then each object is applied as an event would be. Cut off, the next call
    goes on; done again, it changes nothing.

    \b
    Examples:
      billing import --dry-run
      billing import --map customers.csv
    """
    if not dry_run:
        answerable(yes=yes)
    mapped = {} if file is None else _mapped(file)
    try:
        survey, done = on_ground_with_stripe(
            lambda ground, transport: _import(ground, transport, mapped, dry_run=dry_run, yes=yes, as_json=as_json)
        )
    except CustomerMapError as error:
        fail(f"{file} is not taken, and nothing was written:", *error.faults)
    except KeyboardInterrupt:
        click.echo("billing: left as it is; the next billing import goes on", err=True)
        sys.exit(_INTERRUPTED)
    if as_json:
        print_json(_to_json(survey, done))
    elif done is not None:
        _print_done(done)
    if done is not None and done.run.counts.failed:
        fail(f"{done.run.counts.failed} objects failed: billing reconcile --report {done.run.id} says why")


async def _import(
    ground: Ground,
    transport: StripeTransport,
    mapped: Mapping[str, Mapped],
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> tuple[Survey, Imported | None]:
    importing = Import(
        ground, transport, told(settings.read_operator).grace, livemode=told(settings.read_stripe).livemode
    )
    with progress(quiet=as_json) as show:
        survey = await importing.survey(mapped, lambda name, count: show(f"read: {count} {name}", None, None))
    if not as_json:
        _print(survey)
    if dry_run:
        return survey, None
    confirm("Import this?", yes=yes)

    def tell(run: Run) -> None:
        wait = f"  (waits: {run.last_error})" if run.last_error else ""
        stage = run.stage.value.replace("_", " ")
        show_run(f"run {run.id}  {stage}  {run.counts.checked} compared{wait}", *run.progress)

    with progress(quiet=as_json) as show_run:
        return survey, await importing.bring(
            survey, actor(), lambda done, total: show_run("whose customers are", done, total), tell
        )


def _mapped(file: Path) -> Mapping[str, Mapped]:
    try:
        return customer_map.read(file.read_bytes())
    except CustomerMapError as error:
        fail(f"{file} is not taken:", *error.faults)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", status=Exit.USAGE)


def _print(survey: Survey) -> None:
    told_of = survey.report
    bought = f"{told_of.subscriptions} subscriptions, {told_of.purchases} purchases"
    click.echo(f"at Stripe: {told_of.customers} customers, {bought}")
    for name, one in told_of.projects.items():
        click.echo(f"\n{name}: {len(one.customers)} customers, {len(one.users)} users")
        click.echo(f"  subscriptions: {_counts(one.subscriptions)}")
        click.echo(f"  purchases:     {_counts(one.purchases)}")
        click.echo(f"  will hold:     {_counts(one.features)}")
    click.echo("")
    _print_doubts(told_of)
    if survey.links.links:
        click.echo(f"the map names whose {len(survey.links.links)} customers are")
    if survey.links.idle:
        click.echo(f"{len(survey.links.idle)} customers of the map bought nothing of ours and are left alone")


def _print_doubts(told_of: ImportReport) -> None:
    open_ones = [one for one in told_of.unassigned if one.open]
    if open_ones:
        click.echo(f"{len(open_ones)} would be nobody's, kept, and grant nothing until they are claimed:")
        rows = [(one.id, one.customer_id, one.reason.value) for one in open_ones[:_SHOWN]]
        print_table(("id", "customer", "reason"), rows, none="")
        _and_more(len(open_ones))
    for price in told_of.idle_prices[:_SHOWN]:
        click.echo(price.words)
    _and_more(len(told_of.idle_prices))
    if told_of.one_off_invoices:
        click.echo(
            f"{len(told_of.one_off_invoices)} paid invoices with prices of ours came without a checkout: they are not "
            "imported; give what they bought by billing grant"
        )
    for name, reason in list(told_of.unreadable.items())[:_SHOWN]:
        click.echo(f"{name} cannot be read and is left out: {reason}")


def _print_done(done: Imported) -> None:
    counts = done.run.counts
    click.echo(
        f"run {done.run.id}: {counts.checked} compared, {counts.unknown_here} brought in, {counts.repaired} corrected, "
        f"{done.linked} customers newly somebody's, {counts.unassigned} nobody's"
    )


def _and_more(count: int) -> None:
    if count > _SHOWN:
        click.echo(f"… and {count - _SHOWN} more: --json shows all")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count) or "none"


def _to_json(survey: Survey, done: Imported | None) -> dict[str, Any]:
    mapped = {"links": len(survey.links.links), "idle": list(survey.links.idle)}
    answer = {"dry_run": done is None, "report": report.to_json(survey.report), "map": mapped}
    if done is None:
        return {**answer, "linked": None, "run": None}
    return {**answer, "linked": done.linked, "run": run_to_json(done.run)}
