"""`billing key`."""

from datetime import timedelta

import click

from common.clock import Instant, SystemClock
from writer.cli.parameters import TIME
from writer.cli.session import actor, answerable, confirm, json_option, operate, print_json, print_table, yes_option
from writer.operations import keys
from writer.operations.keys import Key, NewKey


@click.group()
def key() -> None:
    """Project keys: what apps and sidecars send as Authorization: Bearer KEY."""


@key.command()
@click.argument("project")
@click.argument("app")
@click.option("--expires-at", type=TIME, help="RFC 3339, such as 2027-01-31T00:00:00Z; never where left out.")
@json_option
def create(project: str, app: str, expires_at: Instant | None, *, as_json: bool) -> None:
    """Create a key for an app of a project. It is shown this once only.

    \b
    Example:
      billing key create shop web
    """
    _print_new(operate(lambda operations: operations.create_key(project, app, expires_at, actor())), as_json=as_json)


@key.command(name="list")
@click.argument("project")
@json_option
def list_(project: str, *, as_json: bool) -> None:
    """List a project's keys, without their secrets.

    \b
    Example:
      billing key list shop
    """
    found = [keys.to_json(one) for one in operate(lambda operations: operations.list_keys(project))]
    if as_json:
        print_json(found)
        return
    columns = ("id", "app", "prefix", "created_at", "expires_at", "revoked_at", "last_used_at")
    print_table(columns, [tuple(one[name] for name in columns) for one in found], none="the project has no key yet")


@key.command()
@click.argument("project")
@click.argument("key_id", type=click.IntRange(1, 2**63 - 1))
@click.option(
    "--overlap-hours",
    type=click.IntRange(0, 720),
    default=24,
    show_default=True,
    help="How long the old one stays good.",
)
@json_option
def rotate(project: str, key_id: int, overlap_hours: int, *, as_json: bool) -> None:
    """Create a key's successor; the old one stays good for the overlap.

    \b
    Example:
      billing key rotate shop 3 --overlap-hours 48
    """
    overlap = timedelta(hours=overlap_hours)
    _print_new(operate(lambda operations: operations.rotate_key(project, key_id, overlap, actor())), as_json=as_json)


@key.command()
@click.argument("project")
@click.argument("key_id", type=click.IntRange(1, 2**63 - 1))
@click.option("--reason", help="Why, for the audit log.")
@yes_option
@json_option
def revoke(project: str, key_id: int, reason: str | None, *, yes: bool, as_json: bool) -> None:
    """End a key now; writers know within two seconds.

    On a terminal it shows first whose key it is and what stays good.

    \b
    Example:
      billing key revoke shop 3 --reason "leaked in a log"
    """
    answerable(yes=yes)
    if not yes:
        _show_effect(project, key_id)
        confirm(f"End key {key_id} of {project}? Whoever uses it is locked out.", yes=yes)
    done = operate(lambda operations: operations.revoke_key(project, key_id, reason, actor()))
    if as_json:
        print_json(keys.to_json(done))
    else:
        click.echo(f"key {done.id} ({done.prefix}…, {done.app}) is revoked")


def _show_effect(project: str, key_id: int) -> None:
    """Whose the key is and when it was used last, and which of the app's keys stay good; on stderr."""
    found = operate(lambda operations: operations.list_keys(project))
    one = next((key for key in found if key.id == key_id), None)
    if one is None:
        return  # the act itself says it
    used = "never used" if one.last_used_at is None else f"last used {keys.to_json(one)['last_used_at']}"
    click.echo(f"key {one.id} ({one.prefix}…) of the app {one.app}: {used}", err=True)
    others = [f"{key.id} ({key.prefix}…)" for key in found if key.app == one.app and key.id != one.id and _is_good(key)]
    click.echo(f"{one.app} keeps: {', '.join(others) or 'no other key'}", err=True)


def _is_good(key: Key) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > SystemClock().now())


def _print_new(new: NewKey, *, as_json: bool) -> None:
    if as_json:
        print_json({**keys.to_json(new.key), "key": new.secret.reveal()})
        return
    click.echo(new.secret.reveal())
    click.echo(f"key {new.key.id} for {new.key.app}: keep it now, it is not shown again", err=True)
