"""`billing grant`: a feature given by hand, many from a file, and what was given."""

from collections.abc import Sequence
from typing import Any, BinaryIO, Final

import click

from common.clock import Instant, format_time
from common.identifiers import FeatureCode, UserId
from writer.cli.foresight import foresee, show
from writer.cli.parameters import FEATURE, TIME, USER, VALUE
from writer.cli.session import (
    actor,
    asking_option,
    asks,
    confirm,
    fail,
    json_option,
    operate,
    print_json,
    print_table,
    yes_option,
)
from writer.operations import grant_import, granted
from writer.operations.grant_import import RowOutcome, Told
from writer.operations.granted import GrantFilter, GrantState
from writer.operations.grants import GrantOrder

_SHOWN: Final = 20


class _Grant(click.Group):
    """`billing grant USER …` is `billing grant give USER …`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["give", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Grant)
def grant() -> None:
    """Features given by hand. `billing grant USER PROJECT FEATURE` gives one.

    \b
    Examples:
      billing grant user_123 shop pro --reason "beta tester" --valid-to 2027-01-01T00:00:00Z
      billing grant import testers.csv --dry-run
      billing grant list --project shop --state active
    """


@grant.command()
@click.argument("user", type=USER)
@click.argument("project")
@click.argument("feature", type=FEATURE)
@click.option("--reason", required=True, help="Why; stands in the audit log.")
@click.option("--value", type=VALUE, help='For a limit (5, unlimited) or a configuration (text, {"a": 1}).')
@click.option("--valid-from", type=TIME, help="RFC 3339; now where left out.")
@click.option("--valid-to", type=TIME, help="RFC 3339; for life where left out.")
@click.option("--idempotency-key", help="The same key grants only once, however often it is sent.")
@asking_option
@json_option
def give(
    user: UserId,
    project: str,
    feature: FeatureCode,
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
      billing grant give user_123 shop pro --reason "beta tester"
      billing grant user_123 shop seats --value 5 --reason "contract 2026/17"
    """
    order = GrantOrder(user, feature, value, valid_from, valid_to, reason, idempotency_key)
    if asks(yes=yes):
        show(foresee(project, user, order))
        confirm(f"Grant {feature} to {user} in {project}?", yes=yes)
    done = operate(lambda operations: operations.grant(project, order, actor()))
    if as_json:
        print_json({"grant_id": done.id, "changed": done.changed, "token": done.position.token})
    elif done.repeated:
        click.echo(f"grant {done.id} was made before with this key; nothing was done")
    else:
        click.echo(f"granted {feature} to {user} in {project}: grant {done.id}, position {done.position.token}")


@grant.command(name="import")
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Only tell what the file would come to.")
@yes_option
@json_option
def import_(file: BinaryIO, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Give what a CSV file says: user_id, project_id, feature, value, valid_from, valid_to, reason.

    With one fault nothing is done, and each is named by its line. Done again, rows that were granted are passed over.

    \b
    Examples:
      billing grant import testers.csv --dry-run
      billing grant import testers.csv --yes
    """
    data = file.read()
    foreseen = operate(lambda operations: operations.imports.run(data, actor(), dry_run=True))
    if dry_run:
        _tell(foreseen, dry_run=True, as_json=as_json)
        return
    confirm(f"{file.name}: {_summary(foreseen, dry_run=True)}. Go on?", yes=yes)
    told = operate(lambda operations: operations.imports.run(data, actor(), dry_run=False))
    _tell(told, dry_run=False, as_json=as_json)
    if any(one.outcome is RowOutcome.REFUSED for one in told):
        fail("some rows were refused; the others are granted")


@grant.command(name="list")
@click.option("--project", help="Only this project's.")
@click.option("--user", type=USER, help="Only this user's.")
@click.option("--feature", type=FEATURE, help="Only of this feature.")
@click.option("--state", type=click.Choice([one.value for one in GrantState]), help="What it is at the moment.")
@click.option("--before", type=click.IntRange(1), help="Only grants with a smaller id: the following page.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="At most so many.")
@json_option
def list_(
    project: str | None,
    user: UserId | None,
    feature: FeatureCode | None,
    state: str | None,
    before: int | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """List what was given by hand, the newest first, also what is over.

    \b
    Example:
      billing grant list --project shop --state active
    """
    chosen = GrantFilter(user=user, feature=feature, state=None if state is None else GrantState(state))
    found = operate(lambda operations: operations.records.grants(project, chosen, before, limit))
    if as_json:
        print_json([granted.to_json(one) for one in found])
        return
    rows = [
        (
            one.id, one.project, one.user, one.feature, one.value, one.state.value,
            None if one.valid_to is None else format_time(one.valid_to), one.actor, one.reason,
        )
        for one in found
    ]  # fmt: skip
    columns = ("id", "project", "user", "feature", "value", "state", "valid to", "by", "reason")
    print_table(columns, rows, none="nothing of that kind was given")


def _tell(told: Sequence[Told], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(grant_import.to_json(told, dry_run=dry_run))
        return
    click.echo(_summary(told, dry_run=dry_run))
    refused = [one for one in told if one.outcome is RowOutcome.REFUSED]
    for one in refused[:_SHOWN]:
        click.echo(f"  line {one.row.line}: {one.reason}")
    if len(refused) > _SHOWN:
        click.echo(f"  … and {len(refused) - _SHOWN} more; --json shows all")


def _summary(told: Sequence[Told], *, dry_run: bool) -> str:
    counts = {outcome: sum(one.outcome is outcome for one in told) for outcome in RowOutcome}
    words = {
        RowOutcome.GRANTED: "would be granted" if dry_run else "granted",
        RowOutcome.ALREADY: "were granted before",
        RowOutcome.REFUSED: "refused",
    }
    return ", ".join(f"{count} {words[outcome]}" for outcome, count in counts.items() if count) or "no rows"
