"""`billing preview`, and what commands show of their effect before they act."""

from typing import Any

import click

from common.identifiers import UserId
from writer.cli.parameters import user_of
from writer.cli.session import json_option, operate, print_json, print_table
from writer.domain.imagine import Act, Cancel, Refund
from writer.operations import preview as foreseeing
from writer.operations.grants import GrantOrder
from writer.operations.preview import MOST_QUANTITY, Foreseen, Purchase

_COLUMNS = ("feature", "now", "then", "change")


@click.command()
@click.argument("user")
@click.argument("project")
@click.option("--buy", metavar="PRICE", help="A price is bought.")
@click.option("--quantity", type=click.IntRange(1, MOST_QUANTITY), default=1, show_default=True, help="Of the price.")
@click.option("--cancel", metavar="SUBSCRIPTION", help="A subscription is cancelled, at the end of its period.")
@click.option("--now", "at_once", is_flag=True, help="Cancel at once.")
@click.option("--refund", metavar="PURCHASE", help="The money for a purchase (cs_…) is given back, all of it.")
@click.option("--amount", type=click.IntRange(1), help="Give back so much only, in the smallest unit.")
@json_option
def preview(
    user: str,
    project: str,
    buy: str | None,
    quantity: int,
    cancel: str | None,
    refund: str | None,
    amount: int | None,
    *,
    at_once: bool,
    as_json: bool,
) -> None:
    """Tell what a user would hold after a purchase, a cancellation or a refund. Nothing is written.

    \b
    Examples:
      billing preview user_123 shop --buy price_1Abc
      billing preview user_123 shop --cancel sub_1Abc --now
      billing preview user_123 shop --refund cs_1Abc --json
    """
    acts: list[Act | Purchase] = []
    if buy is not None:
        acts.append(Purchase(buy, quantity))
    if cancel is not None:
        acts.append(Cancel(cancel, at_once=at_once))
    if refund is not None:
        acts.append(Refund(refund, amount))
    if len(acts) != 1 or (at_once and cancel is None) or (amount is not None and refund is None):
        raise click.UsageError("name one of --buy PRICE, --cancel SUBSCRIPTION [--now], --refund PURCHASE [--amount N]")
    foreseen = foresee(project, user_of(user), acts[0])
    if as_json:
        print_json(foreseeing.to_json(foreseen))
    else:
        show(foreseen, err=False)


def foresee(project: str, user: UserId, act: Act | Purchase | GrantOrder) -> Foreseen:
    """What would be; a refusal ends the process."""
    return operate(lambda operations: operations.preview.of(project, user, act))


def show(foreseen: Foreseen, *, err: bool = True) -> None:
    """The difference for people: every feature whose answer, or whose end, would be another."""
    rows = [
        (one.feature, _answer(before), _answer(after), one.change)
        for one in foreseen.features
        if one.change is not None
        for before, after in [(foreseeing.answer(one.before), foreseeing.answer(one.after))]
    ]
    when = foreseeing.to_json(foreseen)["takes_effect_at"]
    click.echo(f"{foreseen.user} in {foreseen.project.public_id}, from {when} on:", err=err)
    print_table(_COLUMNS, rows, none="no answer would change", err=err)
    for note in foreseen.notes:
        click.echo(f"note: {note}", err=err)


def _answer(told: dict[str, Any]) -> str:
    if not told["allowed"]:
        return f"no ({told['reason']})"
    value = told["value"]
    until = "for life" if told["valid_to"] is None else f"until {told['valid_to']}"
    return f"{'yes' if value is None else value}, {until}"
