"""`billing relay`."""

import click

from writer.cli.session import actor, answerable, confirm, json_option, operate, print_json, yes_option
from writer.operations import relaying


@click.group()
def relay() -> None:
    """Who tells Redis and the sidecars of a project's changes."""


@relay.command()
@click.argument("project")
@click.option("--reason", help="Why, for the audit log.")
@yes_option
@json_option
def release(project: str, reason: str | None, *, yes: bool, as_json: bool) -> None:
    """Free the lease of a writer that is no more, so that another relays the project.

    Only one that is stuck: held for longer than any writer takes it, as after a jump of the database's clock. A lease
    that its writer renews is left alone. billing sidecars PROJECT shows who holds it.

    \b
    Example:
      billing relay release shop --reason "the database's clock was a day ahead"
    """
    answerable(yes=yes)
    confirm(f"Free the lease of {project} for any writer to take?", yes=yes)
    found = relaying.to_json(operate(lambda operations: operations.release_relay(project, reason, actor())))
    if as_json:
        print_json(found)
    else:
        click.echo(f"relay: {found['words']}")
