"""`billing audit` and `billing app`."""

import click

from common.clock import Instant, format_time
from writer.cli.parameters import TIME
from writer.cli.session import actor, confirm, json_option, operate, print_json, print_table, yes_option
from writer.operations import apps, audit_log
from writer.operations.apps import AppChanges
from writer.operations.audit_log import AuditFilter


@click.command()
@click.option("--project", help="Only what was done to this project.")
@click.option("--actor", "who", help="Who, such as cli:kim; cli:* for all that begin so.")
@click.option("--action", help="What, such as key.revoke; key.* for all that begin so.")
@click.option("--subject", help="To what, such as user:ada, key:12, object:sub_1Abc.")
@click.option("--since", type=TIME, help="RFC 3339: then or later.")
@click.option("--until", type=TIME, help="RFC 3339: before.")
@click.option("--before", type=click.IntRange(1), help="Only acts with a smaller id: the following page.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="At most so many.")
@json_option
def audit(
    project: str | None,
    who: str | None,
    action: str | None,
    subject: str | None,
    since: Instant | None,
    until: Instant | None,
    before: int | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """List who did what, when, from where; --json shows what was there before and after.

    \b
    Examples:
      billing audit --subject user:user_123
      billing audit --action "key.*" --since 2026-11-01T00:00:00Z --json
    """
    chosen = AuditFilter(who, action, None, subject, since, until)
    found = operate(lambda operations: operations.records.audit(project, chosen, before, limit))
    if as_json:
        print_json([audit_log.to_json(one) for one in found])
        return
    rows = [
        (one.id, format_time(one.at), one.actor, one.origin, one.action, one.project, one.subject, one.reason)
        for one in found
    ]
    columns = ("id", "at", "actor", "from", "action", "project", "subject", "reason")
    print_table(columns, rows, none="nothing of that kind was done")


@click.group()
def app() -> None:
    """Apps of a project: what keys are given to. An app is made with its first key."""


@app.command(name="list")
@click.argument("project")
@json_option
def list_(project: str, *, as_json: bool) -> None:
    """List a project's apps.

    \b
    Example:
      billing app list shop
    """
    found = [apps.to_json(one) for one in operate(lambda operations: operations.apps.list(project))]
    if as_json:
        print_json(found)
        return
    columns = ("app", "good_keys", "last_used_at", "created_at", "disabled_at")
    print_table(columns, [tuple(one[name] for name in columns) for one in found], none="the project has no app yet")


@app.command()
@click.argument("project")
@click.argument("name", metavar="APP")
@click.argument("new", metavar="NEW")
@json_option
def rename(project: str, name: str, new: str, *, as_json: bool) -> None:
    """Rename an app; its keys stay as they are.

    \b
    Example:
      billing app rename shop web website
    """
    _update(project, name, AppChanges(name=new), None, as_json=as_json)


@app.command()
@click.argument("project")
@click.argument("name", metavar="APP")
@click.option("--reason", help="Why, for the audit log.")
@yes_option
@json_option
def disable(project: str, name: str, reason: str | None, *, yes: bool, as_json: bool) -> None:
    """Let none of an app's keys in; writers know within two seconds. `billing app enable` takes it back.

    \b
    Example:
      billing app disable shop web --reason "it asks in a loop"
    """
    confirm(f"Let none of the keys of {name} of {project} in?", yes=yes)
    _update(project, name, AppChanges(disabled=True), reason, as_json=as_json)


@app.command()
@click.argument("project")
@click.argument("name", metavar="APP")
@click.option("--reason", help="Why, for the audit log.")
@json_option
def enable(project: str, name: str, reason: str | None, *, as_json: bool) -> None:
    """Let a disabled app's keys in again.

    \b
    Example:
      billing app enable shop web
    """
    _update(project, name, AppChanges(disabled=False), reason, as_json=as_json)


def _update(project: str, name: str, changes: AppChanges, reason: str | None, *, as_json: bool) -> None:
    done = operate(lambda operations: operations.apps.update(project, name, changes, reason, actor()))
    if as_json:
        print_json(apps.to_json(done))
    else:
        state = "enabled" if done.disabled_at is None else "disabled"
        click.echo(f"app {done.name} of {project}: {state}, {done.good_keys} good keys")
