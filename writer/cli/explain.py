"""`billing explain` and `billing sidecars`."""

from shlex import quote
from typing import Any

import click

from common.clock import Instant
from writer.cli.holdings import told_of_holding
from writer.cli.parameters import TIME, feature_of, user_of
from writer.cli.redis_session import presences, presences_if_any
from writer.cli.session import fail, json_option, on_ground, print_json, print_table
from writer.explain.view import Question
from writer.operations import sidecars as standing
from writer.operations.operating import Ground
from writer.relay.project_relay import CacheFaultError

_SOURCES = ("given by", "counts", "why", "since", "by", "until", "by")
_FEATURES = ("feature", "allowed", "reason", "value", "until", "source")
_SIDECARS = ("sidecar", "state", "stands at", "behind", "age ms", "follows", "what")

Json = dict[str, Any]


@click.command()
@click.argument("user")
@click.argument("project")
@click.argument("feature", required=False)
@click.option("--at", "moment", type=TIME, help="As it was then; RFC 3339.")
@json_option
def explain(user: str, project: str, feature: str | None, moment: Instant | None, *, as_json: bool) -> None:
    """Tell why a user has a feature or not: every source, what is in the way and how to mend it, where sidecars are.

    Without FEATURE all features in short. With --at what was answered then, as far as it is kept. REDIS_URL lets it
    say where the sidecars are. It ends with 0 whatever the answer is.

    \b
    Examples:
      billing explain user_123 shop pro
      billing explain user_123 shop --json
      billing explain user_123 shop pro --at 2026-11-22T10:00:00Z
    """
    question = Question(project, user_of(user), None if feature is None else feature_of(feature), moment)

    async def work(ground: Ground) -> Json:
        async with presences_if_any(ground) as directory:
            return await ground.operations().explain(question, directory)

    found = on_ground(work)
    if as_json:
        print_json(found)
    else:
        _print(found, whole=feature is not None)


@click.command()
@click.argument("project")
@json_option
def sidecars(project: str, *, as_json: bool) -> None:
    """List the sidecars of a project and how far each is; those in trouble first. Needs REDIS_URL.

    \b
    Examples:
      billing sidecars shop
      billing sidecars shop --json
    """

    async def work(ground: Ground) -> Json:
        async with presences(ground) as directory:
            return standing.following_to_json(await ground.operations().sidecars(project, directory))

    try:
        found = on_ground(work)
    except CacheFaultError as error:
        fail(f"Redis cannot be asked ({error}): check REDIS_URL and that it runs")
    if as_json:
        print_json(found)
        return
    click.echo(f"{project} stands at {_token(found)}")
    _print_relay(found["relay"])
    _print_sidecars(found["sidecars"])


def _print(found: Json, *, whole: bool) -> None:
    document = found["document"]
    held = "no document" if document is None else f"document {_token(document)} since {document['since']}"
    click.echo(
        f"{found['user_id']} in {found['project_id']}, at {found['at']}: {held}, catalogue {found['catalog_version']}"
    )
    if whole:
        (one,) = found["features"]
        _print_feature(one, {(held["kind"], held["ref"]): held for held in found["holdings"]})
    else:
        rows = [_short(one) for one in found["features"]]
        print_table(_FEATURES, rows, none="the catalogue has no feature, and nothing was ever held")
        denied = [one["feature"] for one in found["features"] if one["causes"]]
        if denied:
            click.echo(f"why not: billing explain {quote(found['user_id'])} {found['project_id']} {denied[0]}")
    for event in [] if whole and found["features"][0]["causes"] else found["events"]:
        click.echo(f"{event['status']} event {event['id']} ({event['type']}): {event['reason'] or 'not applied yet'}")
    copies = found["sidecars"]
    if copies is not None:
        click.echo("")
        _print_relay(found["relay"])
        _print_copies(copies)
    for limit in found["limits"]:
        click.echo(f"note: {limit}")


def _print_feature(one: Json, holdings: dict[tuple[str, str], Json]) -> None:
    answer = click.style("allowed", fg="green") if one["allowed"] else click.style("denied", fg="red")
    value = "" if one["value"] is None else f", {one['value']}"
    until = "" if one["valid_to"] is None else f", until {one['valid_to']}"
    click.echo(f"{one['feature']}: {answer} ({one['reason']}){value}{until}")
    print_table(_SOURCES, [_source(source) for source in one["sources"]], none="no source gives it or ever gave it")
    for source in one["sources"]:
        held = holdings.get((source["kind"], source["ref"]))
        if held is not None:
            click.echo(f"  {source['kind']} {source['ref']}: {', '.join(told_of_holding(held))}")
    if one["causes"]:
        click.echo("\nin the way, the likeliest first:")
    for cause in one["causes"]:
        click.echo(f"  {cause['words']}\n    → {click.style(cause['mend'], bold=True)}")
    if one["unlocked_by"]:
        click.echo("\nwhat would unlock it:")
    for price in one["unlocked_by"]:
        click.echo(f"  {_price(price)}")


def _short(one: Json) -> tuple[Any, ...]:
    until = one["valid_to"] or ("for life" if one["allowed"] else None)
    return one["feature"], "yes" if one["allowed"] else "no", one["reason"], one["value"], until, one["source"]


def _source(source: Json) -> tuple[Any, ...]:
    came, went = source["came"], source["went"]
    prices = [one["price_id"] for one in source["given_by"]]
    return (
        " ".join([source["kind"], source["ref"], *prices]),
        "yes" if source["counts"] else "no",
        source["words"],
        None if came is None else came["recorded_at"],
        _cause(came),
        None if went is None else went["recorded_at"],
        _cause(went),
    )


def _cause(change: Json | None) -> str | None:
    if change is None:
        return None
    event = change["event"]
    return str(change["cause"]) if event is None else f"{change['cause']} {event['type']}"


def _price(price: Json) -> str:
    if "type" not in price:
        return str(price["price_id"])
    name = price["product_name"] or price["product_id"]
    amount = "" if price["unit_amount"] is None else f", {price['unit_amount']} {price['currency']}"
    often = "once" if price["interval"] is None else f"a {price['interval']}"
    return f"{name} ({price['price_id']}{amount} {often})"


def _print_relay(relay: Json) -> None:
    click.echo(f"relay: {relay['words']}")
    if relay["mend"] is not None:
        click.echo(f"  → {relay['mend']}")


def _print_copies(copies: Json) -> None:
    if not copies["known"]:
        click.echo(f"sidecars: unknown: {copies['reason']}")
        return
    _print_sidecars(copies["list"])
    for one in copies["list"]:
        if one["lacks_document"] is not False and one["state"] != standing.State.IN_STEP:
            why = (
                "its copy is from before this user's document" if one["lacks_document"] else "nobody knows where it is"
            )
            click.echo(f"{one['instance']} may answer otherwise: {why}")


def _print_sidecars(found: list[Json]) -> None:
    rows = [
        (
            one["instance"],
            one["state"].replace("_", " "),
            None if one["epoch"] is None else _token(one),
            one["behind"],
            one.get("age_ms"),
            one.get("mode"),
            one["words"],
        )
        for one in found
    ]
    print_table(_SIDECARS, rows, none="no sidecar follows the project")
    for one in found:
        if one["mend"] is not None:
            click.echo(f"  {one['instance']}: {one['mend']}")


def _token(place: Json) -> str:
    return f"{place['epoch']}.{place['revision']}"
