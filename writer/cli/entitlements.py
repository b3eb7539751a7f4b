"""`billing revoke`, `billing recompute`."""

import click

from common.answers import parse_feature, parse_user
from common.identifiers import FeatureCode, UserId
from common.problems import Problem
from writer.cli.session import actor, confirm, json_option, operate, print_json, yes_option


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

    \b
    Examples:
      billing revoke user_123 shop pro --reason "the test is over"
      billing revoke shop --grant 12 --reason "given by mistake"
    """
    which: int | tuple[UserId, FeatureCode]
    match names, grant_id:
        case (project,), int(which):
            what = f"grant {which}"
        case (user, project, feature), None:
            which, what = (_user(user), _feature(feature)), f"{feature} from {user}"
        case _:
            raise click.UsageError("name USER PROJECT FEATURE, or PROJECT --grant ID")
    confirm(f"Take back {what} in {project}?", yes=yes)
    done = operate(lambda operations: operations.revoke_grant(project, which, reason, actor()))
    if as_json:
        print_json({"revoked": list(done.ids), "changed": done.changed, "token": done.position.token})
    elif done.ids:
        click.echo(f"revoked {', '.join(map(str, done.ids))} in {project}, position {done.position.token}")
    else:
        click.echo("everything there was revoked before; nothing was done")


@click.command()
@click.argument("user", required=False)
@click.argument("project", required=False)
@click.option("--project", "whole", metavar="PROJECT", help="Every user of the project, in the background.")
@click.option("--all", "everybody", is_flag=True, help="Every user of every project, in the background.")
@json_option
def recompute(user: str | None, project: str | None, whole: str | None, *, everybody: bool, as_json: bool) -> None:
    """Compute entitlements again from what was bought and granted: one user now, a whole project, or all.

    \b
    Examples:
      billing recompute user_123 shop
      billing recompute --project shop
      billing recompute --all
    """
    if everybody and user is None and whole is None:
        jobs = operate(lambda operations: operations.recompute_all(actor()))
        if as_json:
            print_json(jobs)
        else:
            click.echo(f"{len(jobs)} jobs: a running writer works them off in the background")
        return
    if whole is not None and user is None and not everybody:
        job_id = operate(lambda operations: operations.recompute_project(whole, actor()))
        if as_json:
            print_json({"job_id": job_id})
        else:
            click.echo(f"job {job_id}: a running writer works it off in the background")
        return
    if user is None or project is None or whole is not None or everybody:
        raise click.UsageError("name USER PROJECT, or --project PROJECT, or --all")
    name = _user(user)
    done = operate(lambda operations: operations.recompute_user(project, name, actor()))
    if as_json:
        print_json({"changed": done.changed, "token": done.position.token})
    else:
        found = "changed" if done.changed else "were right already"
        click.echo(f"the entitlements of {user} in {project} {found}, position {done.position.token}")


def _user(text: str) -> UserId:
    try:
        return parse_user(text)
    except Problem as problem:
        raise click.BadParameter(problem.detail, param_hint="USER") from problem


def _feature(text: str) -> FeatureCode:
    try:
        return parse_feature(text)
    except Problem as problem:
        raise click.BadParameter(problem.detail, param_hint="FEATURE") from problem
