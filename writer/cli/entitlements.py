"""`billing grant`, `billing revoke`, `billing recompute`."""

from typing import Any

import click

from common.clock import Instant
from common.identifiers import FeatureCode, UserId
from writer.cli.foresight import foresee, show
from writer.cli.parameters import TIME, VALUE, feature_of, user_of
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
from writer.operations.grants import GrantOrder
from writer.operations.preview import Recomputing


@click.command()
@click.argument("user")
@click.argument("project")
@click.argument("feature")
@click.option("--reason", required=True, help="Why; stands in the audit log.")
@click.option("--value", type=VALUE, help='For a limit (5, unlimited) or a configuration (text, {"a": 1}).')
@click.option("--valid-from", type=TIME, help="RFC 3339; now where left out.")
@click.option("--valid-to", type=TIME, help="RFC 3339; for life where left out.")
@click.option("--idempotency-key", help="The same key grants only once, however often it is sent.")
@asking_option
@json_option
def grant(
    user: str,
    project: str,
    feature: str,
    reason: str,
    value: Any,
    valid_from: Instant | None,
    valid_to: Instant | None,
    idempotency_key: str | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Give a user a feature. On a terminal it shows first what that changes, and asks.

    \b
    Examples:
      billing grant user_123 shop pro --reason "beta tester" --valid-to 2027-01-01T00:00:00Z
      billing grant user_123 shop seats --value 5 --reason "contract 2026/17"
    """
    order = GrantOrder(user_of(user), feature_of(feature), value, valid_from, valid_to, reason, idempotency_key)
    if asks(yes=yes):
        show(foresee(project, order.user, order))
        confirm(f"Grant {feature} to {user} in {project}?", yes=yes)
    done = operate(lambda operations: operations.grant(project, order, actor()))
    if as_json:
        print_json({"grant_id": done.id, "changed": done.changed, "token": done.position.token})
    elif done.repeated:
        click.echo(f"grant {done.id} was made before with this key; nothing was done")
    else:
        click.echo(f"granted {feature} to {user} in {project}: grant {done.id}, position {done.position.token}")


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
@click.argument("user", required=False)
@click.argument("project", required=False)
@click.option("--project", "whole", metavar="PROJECT", help="Every user of the project, in the background.")
@asking_option
@json_option
def recompute(user: str | None, project: str | None, whole: str | None, *, yes: bool, as_json: bool) -> None:
    """Compute entitlements again from what was bought and granted: one user now, or a whole project.

    For a whole project it shows first, on a terminal, how many documents would change, and asks.

    \b
    Examples:
      billing recompute user_123 shop
      billing recompute --project shop
    """
    if whole is not None and user is None:
        if asks(yes=yes):
            click.echo(_words(whole, operate(lambda operations: operations.preview.of_recompute(whole))), err=True)
            confirm(f"Compute all of {whole} again?", yes=yes)
        job_id = operate(lambda operations: operations.recompute_project(whole, actor()))
        if as_json:
            print_json({"job_id": job_id})
        else:
            click.echo(f"job {job_id}: a running writer works it off in the background")
        return
    if user is None or project is None or whole is not None:
        raise click.UsageError("name USER PROJECT, or --project PROJECT")
    name = user_of(user)
    done = operate(lambda operations: operations.recompute_user(project, name, actor()))
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
            return project, (user_of(user), feature_of(feature))
    raise click.UsageError("name USER PROJECT FEATURE, or PROJECT --grant ID")


def _words(project: str, found: Recomputing) -> str:
    count = f"{found.users:,}" if found.is_exact else f"the first {found.users:,}"
    failing = f", {found.failing:,} cannot be computed" if found.failing else ""
    return f"{project}: {found.differing:,} of {count} users would hold something else{failing}"
