"""`billing figures`."""

from dataclasses import asdict

import click

from common.clock import SystemClock
from writer.cli.session import json_option, operate, print_json, print_table
from writer.domain.money import written
from writer.operations import figures as figuring
from writer.operations.figures import Figures, Money
from writer.refusals import InvalidError

_COLUMNS = ("month", "recurring", "one-time", "refunds", "disputes", "net")


@click.command()
@click.argument("project")
@click.option("--from", "first", metavar="MONTH", help="The first month, UTC; eleven before the last where left out.")
@click.option("--to", "last", metavar="MONTH", help="The last month, UTC; this one where left out.")
@json_option
def figures(project: str, first: str | None, last: str | None, *, as_json: bool) -> None:
    """Tell a project's subscriptions by state, and its revenue and refunds by month and currency.

    \b
    Examples:
      billing figures shop
      billing figures shop --from 2026-01 --to 2026-06 --json
    """
    try:
        period = figuring.period(first, last, SystemClock().now())
    except InvalidError as error:
        raise click.UsageError(error.detail) from error
    (found,) = operate(lambda operations: operations.figures(period, project))
    if as_json:
        print_json(figuring.to_json(found, period))
        return
    _show(found)


def _show(found: Figures) -> None:
    for state, count in asdict(found.subscriptions).items():
        click.echo(f"{state.replace('_', ' ') + ':':<12} {count}")
    click.echo("")
    print_table(_COLUMNS, [_row(month) for month in found.money], none="no money moved in these months")


def _row(month: Money) -> tuple[str, ...]:
    amounts = (month.recurring, month.one_time, month.refunds, month.disputes, month.net)
    return (month.month, *(written(amount, month.currency) for amount in amounts))
