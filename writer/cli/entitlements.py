"""`billing revoke`, `billing recompute`."""

import click

from common.identifiers import FeatureCode, UserId
from writer.cli.foresight import foresee, show
from writer.cli.parameters import FEATURE, USER
from writer.cli.session import (
    actor,
    answerable,
    asking_option,
    asks,
    confirm,
    json_option,
    operate,
    print_json,
    yes_option,
)
from writer.domain.imagine import Revoke
from writer.operations.preview import Recomputing


@click.command()
@click.argument("names", nargs=-1, metavar="USER PROJECT FEATURE | PROJECT")
@click.option("--grant", "grant_id", type=click.IntRange(1, 2**63 - 1), help="One grant by its id.")
@click.option("--reason", required=True, help="Why; stands in the audit log.")
@yes_option
@json_option
def revoke(
    names: tuple[str, ...],
    grant_id: int | None,
    reason: str,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Take manual grants back: those of a feature that a user has, or one by its id. What was bought stays.

    On a terminal it shows first what that changes.

    \b
    Examples:
      billing revoke user_123 shop pro --reason "the test is over"
      billing revoke shop --grant 12 --reason "given by mistake"
    """
    project, which = _which(names, grant_id)
    what = f"grant {which}" if isinstance(which, int) else f"{which[1]} from {which[0]}"
    answerable(yes=yes)
    if not yes:
        if isinstance(which, int):
            show(operate(lambda operations: operations.preview.of_grant(project, which)))
        else:
            show(foresee(project, which[0], Revoke(feature=which[1])))
        confirm(f"Take back {what} in {project}?", yes=yes)
    done = operate(lambda operations: operations.revoke_grant(project, which, reason, actor()))
    if as_json:
        print_json({"revoked": list(done.ids), "changed": done.changed, "token": done.position.token})
    elif done.ids:
        click.echo(f"revoked {', '.join(map(str, done.ids))} in {project}, position {done.position.token}")
    else:
        click.echo("everything there was revoked before; nothing was done")


@click.command()
@click.argument("user", type=USER, required=False)
@click.argument("project", required=False)
@click.option("--project", "whole", metavar="PROJECT", help="Every user of the project, in the background.")
@click.option("--all", "everybody", is_flag=True, help="Every user of every project, in the background.")
@asking_option
@json_option
def recompute(
    user: UserId | None, project: str | None, whole: str | None, *, everybody: bool, yes: bool, as_json: bool
) -> None:
    """Compute entitlements again from what was bought and granted: one user now, a whole project, or all.

    For a whole project it shows first, on a terminal, how many documents would change, and asks.

    \b
    Examples:
      billing recompute user_123 shop
      billing recompute --project shop
      billing recompute --all
    """
    if everybody and user is None and whole is None:
        confirm("Compute everybody of every project again?", yes=yes or not asks(yes=yes))
        jobs = operate(lambda operations: operations.recompute_all(actor()))
        if as_json:
            print_json(jobs)
        else:
            click.echo(f"{len(jobs)} jobs: a running writer works them off in the background")
        return
    if whole is not None and user is None and not everybody:
        if asks(yes=yes):
            click.echo(_words(whole, operate(lambda operations: operations.preview.of_recompute(whole))), err=True)
            confirm(f"Compute all of {whole} again?", yes=yes)
        job_id = operate(lambda operations: operations.recompute_project(whole, actor()))
        if as_json:
            print_json({"job_id": job_id})
        else:
            click.echo(f"job {job_id}: a running writer works it off in the background")
        return
    if user is None or project is None or whole is not None or everybody:
        raise click.UsageError("name USER PROJECT, or --project PROJECT, or --all")
    done = operate(lambda operations: operations.recompute_user(project, user, actor()))
    if as_json:
        print_json({"changed": done.changed, "token": done.position.token})
    else:
        found = "changed" if done.changed else "were right already"
        click.echo(f"the entitlements of {user} in {project} {found}, position {done.position.token}")


def _which(names: tuple[str, ...], grant_id: int | None) -> tuple[str, int | tuple[UserId, FeatureCode]]:
    """The project, and which of its grants are meant."""
    match names, grant_id:
        case (project,), int(one):
            return project, one
        case (user, project, feature), None:
            return project, (USER.convert(user, None, None), FEATURE.convert(feature, None, None))
    raise click.UsageError("name USER PROJECT FEATURE, or PROJECT --grant ID")


def _words(project: str, found: Recomputing) -> str:
    count = f"{found.users:,}" if found.is_exact else f"the first {found.users:,}"
    failing = f", {found.failing:,} cannot be computed" if found.failing else ""
    return f"{project}: {found.differing:,} of {count} users would hold something else{failing}"
