"""`billing history`."""

from typing import Any

import click

from common.clock import Instant, SystemClock
from writer.cli.parameters import TIME, feature_of, user_of
from writer.cli.session import json_option, operate, print_json, print_table
from writer.history import MOST_CHANGES

_CHANGES = ("recorded_at", "position", "cause", "what")
_HELD = ("feature", "allowed", "reason", "value", "from", "until", "given by", "since", "cause")


@click.command()
@click.argument("user")
@click.argument("project")
@click.argument("feature", required=False)
@click.option("--at", "moment", type=TIME, help="What was held then, and why; RFC 3339.")
@click.option("--limit", type=click.IntRange(1, MOST_CHANGES), default=50, show_default=True, help="Changes at most.")
@json_option
def history(user: str, project: str, feature: str | None, moment: Instant | None, limit: int, *, as_json: bool) -> None:
    """Tell what changed for a user, newest first; with --at, what was held at a time and by what.

    \b
    Examples:
      billing history user_123 shop
      billing history user_123 shop pro --at 2026-11-22T10:00:00Z
    """
    who, code = user_of(user), None if feature is None else feature_of(feature)
    if moment is not None:
        then = operate(lambda operations: operations.held_at(project, who, code, moment))
        if as_json:
            print_json(then)
        else:
            print_table(_HELD, [row for one in then["features"] for row in _held(one)], none="no such feature then")
        return
    now = SystemClock().now()
    changes = operate(lambda operations: operations.history(project, who, code, now, limit))
    if as_json:
        print_json({"project_id": project, "user_id": user, "changes": changes})
    else:
        print_table(_CHANGES, [_change(one) for one in changes], none="nothing ever changed")


def _change(one: dict[str, Any]) -> tuple[Any, ...]:
    came = [f"+{row['feature_code']} until {row['valid_to'] or 'for life'}" for row in one["held"]]
    went = [f"-{row['feature_code']}" for row in one["gone"]]
    event = one["event"]
    cause = one["cause"] if event is None else f"{one['cause']} {event['type']}"
    return one["recorded_at"], f"{one['epoch']}.{one['revision']}", cause, ", ".join([*came, *went])


def _held(one: dict[str, Any]) -> list[tuple[Any, ...]]:
    answer = (one["feature"], "yes" if one["allowed"] else "no", one["reason"], one["value"])
    if not one["grants"]:
        return [(*answer, None, None, one["source"], None, None)]
    return [
        (*answer, row["valid_from"], row["valid_to"] or "for life", _giver(row), row["since"]["recorded_at"],
         row["since"]["cause"])
        for row in one["grants"]
    ]  # fmt: skip


def _giver(row: dict[str, Any]) -> str:
    items = (row["origin"] or {}).get("items", [])
    return " ".join([row["source"], row["source_ref"], *(item["price_id"] for item in items)])
