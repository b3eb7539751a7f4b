"""`billing user`."""

from typing import Any

import click

from common.identifiers import UserId
from writer.cli.parameters import USER
from writer.cli.session import actor, confirm, json_option, operate, print_json, print_table, yes_option
from writer.operations import erasure, merging, users


@click.group()
def user() -> None:
    """Users: found, shown, merged into one another, erased on request."""


@user.command()
@click.argument("query", required=False)
@click.option("--project", help="Only this project's.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="At most so many.")
@json_option
def search(query: str | None, project: str | None, limit: int, *, as_json: bool) -> None:
    """Find users by how their ids begin, or by a cus_…, sub_… or cs_… of theirs.

    \b
    Examples:
      billing user search ada --project shop
      billing user search cus_1Abc
    """
    found = operate(lambda operations: operations.users.search(project, query, None, limit))
    if as_json:
        print_json([users.to_json(one) for one in found])
        return
    rows = [
        (one.project, one.user_id, one.entitlements, one.merged_into, "erased" if one.erased_at else None)
        for one in found
    ]
    print_table(("project", "user", "entitlements", "merged into", ""), rows, none="there is no such user")


@user.command()
@click.argument("name", metavar="USER", type=USER)
@click.argument("project")
@json_option
def show(name: UserId, project: str, *, as_json: bool) -> None:
    """Show a user with what they have at Stripe and by hand, and who they were or became.

    \b
    Example:
      billing user show user_123 shop
    """
    shown = operate(lambda operations: operations.users.show(project, name))
    if as_json:
        print_json(shown)
        return
    for fact in ("project_id", "user_id", "entitlements", "created_at", "merged_into", "merged_from", "erased_at"):
        value = shown[fact]
        click.echo(f"{fact + ':':14}{', '.join(value) if isinstance(value, list) else '' if value is None else value}")
    columns = {
        "customers": ("customer_id", "is_primary", "deleted"),
        "subscriptions": ("id", "status", "customer_id", "started_at", "ended_at"),
        "purchases": ("id", "payment_status", "amount_total", "currency", "completed_at"),
        "grants": ("grant_id", "feature", "value", "valid_to", "reason", "revoked_at"),
    }
    for kind, names in columns.items():
        if shown[kind]:
            click.echo(f"\n{kind}")
            print_table(names, [tuple(one[name] for name in names) for one in shown[kind]], none="")


@user.command()
@click.argument("old", type=USER)
@click.argument("new", type=USER)
@click.argument("project")
@click.option("--reason", help="Why, for the audit log.")
@yes_option
@json_option
def merge(old: UserId, new: UserId, project: str, reason: str | None, *, yes: bool, as_json: bool) -> None:
    """Make the user OLD, anonymous or since renamed, the user NEW. There is no way back.

    Subscriptions, purchases, grants and customers move. Whatever names OLD later, at Stripe or here, leads to NEW.

    \b
    Example:
      billing user merge anon_7f3 user_123 shop --reason "signed up"
    """
    confirm(f"Make {old} the user {new} of {project}? {_has(project, old)} This cannot be taken back.", yes=yes)
    done = operate(lambda operations: operations.users.merge(project, old, new, reason, actor()))
    if as_json:
        print_json(merging.to_json(done))
    elif done.moved:
        click.echo(f"{old} is {new} in {project}: moved {_counted(done.moved)}, position {done.position.token}")
    else:
        click.echo(f"{old} was {new} before; nothing was done")


@user.command()
@click.argument("name", metavar="USER", type=USER)
@click.argument("project")
@click.option("--reason", help="Why, for the audit log; it is kept without the name.")
@yes_option
@json_option
def erase(name: UserId, project: str, reason: str | None, *, yes: bool, as_json: bool) -> None:
    """Let nothing tell any more who USER was: history gets a pseudonym, payloads of events are cut down.

    Amounts and ids at Stripe stay. There is no way back. Delete the customer at Stripe first, and wait for its events.

    \b
    Example:
      billing user erase user_123 shop --reason "ticket 4711"
    """
    confirm(f"Erase {name} of {project}? {_has(project, name)} This cannot be taken back.", yes=yes)
    done = operate(lambda operations: operations.users.erase(project, name, reason, actor()))
    if as_json:
        print_json(erasure.to_json(done))
    elif done.pseudonym is None:
        click.echo(f"nothing is held of a user {name} in {project}; nothing was done")
    else:
        click.echo(f"erased: {_counted(done.counts)}; what stays is {done.pseudonym}'s")


def _has(project: str, name: UserId) -> str:
    """What an act would touch, for the question before it; nothing where that cannot be told."""

    async def look(operations: Any) -> dict[str, Any]:
        shown: dict[str, Any] = await operations.users.show(project, name)
        return shown

    shown = operate(look)
    counts = {kind: len(shown[kind]) for kind in ("subscriptions", "purchases", "grants", "customers")}
    return f"It has {_counted(counts)}."


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "nothing"
