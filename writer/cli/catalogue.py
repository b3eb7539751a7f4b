"""`billing catalog`."""

from collections.abc import Mapping, Sequence
from typing import TextIO

import click

from common.identifiers import ProjectId
from writer.apply.mirror import Mirrored
from writer.catalogue.declared import ProjectCatalog
from writer.catalogue.push import Push
from writer.catalogue.yaml import FORMAT, CatalogFileError, dump, load
from writer.cli.jobs import wait
from writer.cli.session import actor, confirm, fail, json_option, operate, print_json, print_table, yes_option
from writer.cli.stripe_session import operate_with_stripe
from writer.gateway.stripe_catalogue import StripeCatalogue
from writer.gateway.stripe_gateway import StripeGateway
from writer.gateway.transport import StripeTransport
from writer.operations import catalogue_plan, catalogue_view
from writer.operations.catalogue_plan import Plan
from writer.operations.jobs import JobProgress, to_json
from writer.operations.operations import Operations


@click.group()
def catalog() -> None:
    """The catalogue: features, and what each price or product grants."""


@catalog.command()
@click.argument("project")
@json_option
def show(project: str, *, as_json: bool) -> None:
    """Show what was declared, in the form of catalog.yaml; with --json also what is in force.

    \b
    Example:
      billing catalog show shop > catalog.yaml
    """
    view = operate(lambda operations: operations.catalogue(project))
    if as_json:
        print_json(catalogue_view.to_json(view))
        return
    whole = {"version": FORMAT, "projects": {project: catalogue_view.declared_to_json(view.declared)}}
    click.echo(dump(whole), nl=False)


@catalog.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@json_option
def plan(file: TextIO, *, as_json: bool) -> None:
    """Show what applying FILE (- is stdin) would change, and for how many users. Nothing is kept.

    \b
    Example:
      billing catalog plan catalog.yaml
    """
    declared = _load(file)
    plans = operate(lambda operations: operations.plan_catalogues(declared))
    if as_json:
        print_json({name: catalogue_plan.to_json(found) for name, found in plans.items()})
    else:
        _print_plans(plans)


@catalog.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@yes_option
@click.option("--no-wait", is_flag=True, help="Do not wait until subscribers are computed again.")
@json_option
def apply(file: TextIO, *, yes: bool, no_wait: bool, as_json: bool) -> None:
    """Put the catalogues in FILE (- is stdin) in force, all or none, and wait until subscribers have them.

    Running writers compute the subscribers again; where none runs, this command does. Cut off, it can be run again:
    what is left is gone on with.

    \b
    Example:
      billing catalog apply catalog.yaml
    """
    declared = _load(file)
    plans = operate(lambda operations: operations.plan_catalogues(declared))
    if not as_json:
        _print_plans(plans)
    if any(not found.is_empty for found in plans.values()):
        confirm("Apply this?", yes=yes)
    applied = operate(lambda operations: operations.apply_catalogues(declared, actor()))
    changed = {commit.project for commit in applied.commits}
    if not as_json:
        click.echo(f"in force: {', '.join(sorted(changed)) or 'nothing new'}")
    finished = () if no_wait else operate(lambda operations: wait(operations, list(plans)))
    if as_json:
        rows = {job.project: {"computed": job.done, "failed": job.failed} for job in finished}
        print_json({name: {"changed": name in changed, **rows.get(name, {})} for name in plans})
    _tell(finished, quiet=as_json)


@catalog.command()
@json_option
def jobs(*, as_json: bool) -> None:
    """Show who is still to be computed again after edits, and whom that failed for.

    \b
    Example:
      billing catalog jobs
    """
    found = operate(lambda operations: operations.jobs.recent())
    if as_json:
        print_json([to_json(job) for job in found])
        return
    rows = [
        (job.id, job.project, job.cause, job.done, job.total, job.failed, "yes" if job.is_finished else "no",
         job.last_error)
        for job in found
    ]  # fmt: skip
    columns = ("job", "project", "cause", "done", "of", "failed", "finished", "last error")
    print_table(columns, rows, none="there was no job yet")


@catalog.command()
@json_option
def sync(*, as_json: bool) -> None:
    """Bring all products and prices over from Stripe (STRIPE_SECRET_KEY).

    \b
    Example:
      billing catalog sync
    """

    async def work(operations: Operations, transport: StripeTransport) -> Mirrored:
        return await operations.sync_catalogue(StripeGateway(transport), actor())

    done = operate_with_stripe(work)
    if as_json:
        print_json({"changed": done.revised, "moved_prices": sorted(done.moved_prices)})
    else:
        click.echo(f"mirrored; {'the catalogue changed' if done.revised else 'nothing new for any catalogue'}")


@catalog.command()
@click.argument("project", required=False)
@yes_option
@json_option
def push(project: str | None, *, yes: bool, as_json: bool) -> None:
    """Write the declared catalogue of PROJECT, or of all, into Stripe's metadata (STRIPE_SECRET_KEY).

    Only feature_codes and project_id, and only where they differ; keys of others stay. From what the catalogue names
    no more, the feature_codes that an earlier push wrote are taken away.

    \b
    Example:
      billing catalog push shop
    """

    async def look(operations: Operations, transport: StripeTransport) -> Push:
        return await operations.push.compare(StripeCatalogue(transport), project)

    found = operate_with_stripe(look)
    if not as_json:
        _print_push(found)
    if found.faults:
        fail("nothing was written:", *found.faults)
    if found.differences:
        confirm("Write this to Stripe?", yes=yes)

        async def work(operations: Operations, transport: StripeTransport) -> None:
            await operations.push.write(StripeCatalogue(transport), found, actor())

        operate_with_stripe(work)
    if as_json:
        written = [{"target": one.target, "before": one.before, "after": one.after} for one in found.differences]
        print_json({"written": written, "unchanged": found.same, "notes": found.notes})
    else:
        click.echo(f"written: {len(found.differences)}, right already: {found.same}")


def _print_push(found: Push) -> None:
    for note in found.notes:
        click.echo(f"note: {note}")
    rows = [
        (one.source.project, one.target, key, one.before[key], "(taken away)" if value is None else value)
        for one in found.differences
        for key, value in one.after.items()
    ]
    print_table(("project", "what", "key", "at Stripe", "would be"), rows, none="Stripe says all of it already")


def _load(file: TextIO) -> Mapping[ProjectId, ProjectCatalog]:
    try:
        return load(file.read())
    except UnicodeDecodeError:
        fail(f"{file.name} is not UTF-8 text")
    except CatalogFileError as error:
        fail(f"{file.name} is not taken:", *error.faults)


def _tell(finished: Sequence[JobProgress], *, quiet: bool) -> None:
    for job in finished:
        if not quiet:
            click.echo(f"{job.project}: {job.done:,} users computed again")
    left_out = [f"{job.project}: {job.failed:,}, the last one for: {job.last_error}" for job in finished if job.failed]
    if left_out:
        fail("users could not be computed; the audit log names them (action recompute.skip):", *left_out)


def _print_plans(plans: Mapping[ProjectId, Plan]) -> None:
    for name, found in plans.items():
        click.echo(f"{name}: {catalogue_plan.summary(found)}")
        for sentence in catalogue_plan.sentences(found):
            click.echo(f"  {sentence}")
