"""`billing stripe`."""

import sys
from collections.abc import Sequence
from typing import Final

import click

from writer import settings
from writer.cli.session import Exit, asking_option, asks, confirm, json_option, print_json, told
from writer.cli.stripe_session import on_ground_with_stripe
from writer.gateway.stripe_account import StripeAccount
from writer.gateway.transport import API_VERSION, StripeTransport
from writer.operations.operating import Ground
from writer.takeover import finding as findings
from writer.takeover import setup as preparation
from writer.takeover.doctor import Doctor
from writer.takeover.finding import Finding, Level
from writer.takeover.setup import Done, Prepared

_MARKS: Final = {Level.OK: "ok  ", Level.WARN: "warn", Level.FAIL: "FAIL"}


@click.group()
def stripe() -> None:
    """The Stripe account: prepare it, examine it."""


@stripe.command()
@click.option("--url", required=True, help=f"Where Stripe reaches a writer: https://HOST{preparation.PATH}")
@click.option("--replace", is_flag=True, help="Make a new endpoint where the old one's API version differs.")
@asking_option
@json_option
def setup(url: str, *, replace: bool, yes: bool, as_json: bool) -> None:
    """Create the webhook endpoint with exactly the events that are applied, or bring it up to date.

    An endpoint of that URL is found again: there is never a second one. The secret of a new one is shown this once.
    Where the account has no portal configuration, one is made: invoices, payment methods, cancelling at period end.

    \b
    Example:
      billing stripe setup --url https://billing.example.com/api/v1/webhooks/stripe
    """

    async def work(_: Ground, transport: StripeTransport) -> Prepared:
        return await preparation.prepare(StripeAccount(transport), url, replace=replace)

    if replace and asks(yes=yes):
        confirm(f"Where its version differs, end the endpoint of {url}, and its secret with it?", yes=yes)
    done = on_ground_with_stripe(work)
    if as_json:
        print_json(preparation.to_json(done))
    else:
        _print_prepared(done)


@stripe.command()
@click.option("--url", help="The webhook's URL, where several endpoints end with its path.")
@json_option
def doctor(url: str | None, *, as_json: bool) -> None:
    """Examine key, permissions, endpoint, deliveries, portal, catalogues and clocks; exit status 1 where one fails.

    Nothing is written, neither at Stripe nor in the database.

    \b
    Example:
      billing stripe doctor
    """
    stripe_settings = told(settings.read_stripe)

    async def work(ground: Ground, transport: StripeTransport) -> Sequence[Finding]:
        return await Doctor(ground.engine, StripeAccount(transport), stripe_settings, ground.clock).examine(url)

    found = on_ground_with_stripe(work)
    failed = any(one.level is Level.FAIL for one in found)
    if as_json:
        print_json({"ok": not failed, "findings": [findings.to_json(one) for one in found]})
    else:
        for one in found:
            click.echo(f"{_MARKS[one.level]}  {one.check}: {one.what}")
            if one.mend is not None:
                click.echo(f"      → {one.mend}")
    if failed:
        sys.exit(int(Exit.REFUSED))


def _print_prepared(done: Prepared) -> None:
    if done.secret is not None:
        click.echo(done.secret.reveal())
        click.echo("this is STRIPE_WEBHOOK_SECRET: keep it now, Stripe does not show it to programs again", err=True)
    click.echo(f"{done.done.value}: {done.endpoint_id}, {done.url}, {len(preparation.EVENTS)} event types", err=True)
    if done.done is Done.REPLACED:
        click.echo("the old endpoint is gone: restart the writers with the new secret now", err=True)
    if done.done is Done.UPDATED:
        for word, names in (("added", done.added), ("removed", done.removed)):
            if names:
                click.echo(f"{word}: {', '.join(names)}", err=True)
    if done.version_differs:
        version = done.api_version or "the account's default version"
        click.echo(f"its events come as {version}, ours is {API_VERSION}; both are read", err=True)
        click.echo("the version of an endpoint cannot be changed: --replace makes another, with a new secret", err=True)
    made = "made" if done.portal_created else "found"
    click.echo(f"portal configuration {made}: {done.portal}", err=True)
