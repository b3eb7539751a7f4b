"""`billing events`."""

import asyncio
import time
from typing import Any, Final

import click
import orjson

from common.clock import Instant
from writer.cli.parameters import TIME
from writer.cli.session import actor, confirm, fail, json_option, operate, print_json, print_table, yes_option
from writer.operations import received
from writer.operations.events import Replayed
from writer.operations.operations import Operations
from writer.operations.received import EventFilter, EventStatus

_COLUMNS: Final = ("id", "type", "object_id", "status", "attempts", "received_at", "reason")
_LOOK_EVERY: Final = 0.2


@click.group()
def events() -> None:
    """What Stripe sent, what became of it, and having it applied again."""


_type_option = click.option("--type", "event_type", help="Such as invoice.paid, or customer.* for all that begin so.")
_object_option = click.option("--object", "object_id", metavar="ID", help="Such as sub_…: about that object.")
_since_option = click.option("--since", type=TIME, help="Received then or later; RFC 3339.")
_until_option = click.option("--until", type=TIME, help="Received before.")
_status_option = click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([status.value for status in EventStatus]),
    help="What became of them; repeatable.",
)


@events.command(name="list")
@_status_option
@_type_option
@_object_option
@_since_option
@_until_option
@click.option("--after", metavar="EVENT", help="Go on behind this event: the last one of the page before.")
@click.option(
    "--limit", type=click.IntRange(1, received.MOST_ON_A_PAGE), default=50, show_default=True, help="Events on a page."
)
@json_option
def list_(
    statuses: tuple[str, ...],
    event_type: str | None,
    object_id: str | None,
    since: Instant | None,
    until: Instant | None,
    after: str | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """List received events, the last ones first.

    \b
    Examples:
      billing events list --status parked
      billing events list --object sub_1Abc --since 2027-01-31T00:00:00Z
    """
    chosen = EventFilter(_statuses(statuses), event_type, object_id, since, until)
    page = operate(lambda operations: operations.events.list(chosen, after, limit))
    shown = [received.to_json(one) for one in page.events]
    if as_json:
        print_json({"events": shown, "next": page.next})
        return
    print_table(_COLUMNS, [tuple(one[name] for name in _COLUMNS) for one in shown], none="no event is like that")
    if page.next is not None:
        click.echo(f"there are more: --after {page.next}", err=True)


@events.command()
@click.argument("event_id", metavar="EVENT")
@json_option
def show(event_id: str, *, as_json: bool) -> None:
    """Show one event with the payload as Stripe sent it.

    \b
    Example:
      billing events show evt_1Abc
    """
    event, payload = operate(lambda operations: operations.events.find(event_id))
    body = {**received.to_json(event), "payload": payload}
    if as_json:
        print_json(body)
        return
    for name, value in received.to_json(event).items():
        click.echo(f"{name + ':':17}{'' if value is None else value}")
    click.echo(orjson.dumps(payload, option=orjson.OPT_INDENT_2).decode())


@events.command()
@click.argument("event_id", metavar="[EVENT]", required=False)
@_status_option
@_type_option
@_object_option
@_since_option
@_until_option
@click.option("--all", "everything", is_flag=True, help="Every parked event, without a further description.")
@click.option("--dry-run", is_flag=True, help="Only say how many.")
@click.option("--wait", "seconds", type=click.FloatRange(0, 3600), help="See what becomes of them, so many seconds.")
@click.option("--reason", help="Why, for the audit log.")
@yes_option
@json_option
def replay(
    event_id: str | None,
    statuses: tuple[str, ...],
    event_type: str | None,
    object_id: str | None,
    since: Instant | None,
    until: Instant | None,
    *,
    everything: bool,
    dry_run: bool,
    seconds: float | None,
    reason: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Have events applied again: one, or all that are described (the parked ones where no --status is given).

    Each one's object is fetched from Stripe and applied as it is now, so that replaying too much does no harm.
    A running writer does it, within a second.

    \b
    Examples:
      billing events replay evt_1Abc --wait 10
      billing events replay --all
      billing events replay --type "customer.subscription.*" --since 2027-01-31T00:00:00Z --dry-run
    """
    described = bool(statuses or event_type or object_id or since is not None or until is not None or everything)
    if (event_id is None) != described or (event_id is not None and dry_run):
        raise click.UsageError("name one EVENT, or describe many by --all, --status, --type, --object, --since")
    if event_id is not None:
        done = operate(lambda operations: operations.events.replay(event_id, actor(), reason))
    else:
        named = _statuses(statuses) or (EventStatus.PARKED,)
        chosen = EventFilter(named, event_type, object_id, since, until)
        done = operate(lambda operations: operations.events.count(chosen))
        if not dry_run and done.ids:
            confirm(f"Replay {_words(done)}?", yes=yes)
            done = operate(lambda operations: operations.events.replay_all(chosen, actor(), reason))
    became = _wait(done, seconds) if seconds is not None and not dry_run else None
    _tell(done, became, dry_run=dry_run, as_json=as_json)


def _tell(done: Replayed, became: dict[EventStatus, int] | None, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        answer: dict[str, Any] = {"events": len(done.ids), "objects": done.objects, "dry_run": dry_run}
        print_json({**answer, "event_ids": done.ids, "became": None if became is None else _names(became)})
    elif not done.ids:
        click.echo("no event is like that; nothing was done")
    elif dry_run:
        click.echo(f"would replay {_words(done)}")
    else:
        click.echo(f"pending again: {_words(done)}")
        if became is not None:
            click.echo(", ".join(f"{count} {name}" for name, count in _names(became).items()))
    if became and became.get(EventStatus.PENDING):
        fail("some are not done yet: is a writer running? billing events list --status pending says what fails")
    if became and became.get(EventStatus.PARKED):
        fail("some failed again: billing events list --status parked says why")


def _wait(done: Replayed, seconds: float) -> dict[EventStatus, int]:
    async def look(operations: Operations) -> dict[EventStatus, int]:
        until = time.monotonic() + seconds
        while True:
            found = await operations.events.statuses(done.ids)
            if not found.get(EventStatus.PENDING) or time.monotonic() >= until:
                return found
            await asyncio.sleep(_LOOK_EVERY)

    return operate(look)


def _words(done: Replayed) -> str:
    return f"{len(done.ids)} events of {done.objects} objects"


def _names(became: dict[EventStatus, int]) -> dict[str, int]:
    return {status.value: became[status] for status in EventStatus if status in became}


def _statuses(names: tuple[str, ...]) -> tuple[EventStatus, ...]:
    return tuple(map(EventStatus, names))
