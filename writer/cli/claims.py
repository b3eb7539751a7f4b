"""`billing unassigned` and `billing claim`."""

from collections.abc import Sequence

import click
from prometheus_client import CollectorRegistry

from writer import settings
from writer.apply.applier import Applier
from writer.catalogue.mirror import StripeMirror
from writer.cli.parameters import user_of
from writer.cli.session import (
    actor,
    asking_option,
    asks,
    confirm,
    json_option,
    on_ground,
    print_json,
    print_table,
    told,
)
from writer.cli.stripe_session import on_ground_with_stripe
from writer.gateway.rate_limit import Urgency
from writer.gateway.stripe_gateway import StripeGateway
from writer.gateway.transport import StripeTransport
from writer.operations import bought, claims
from writer.operations import unassigned as nobodys
from writer.operations.claims import Claim, Claimed, Claims
from writer.operations.operating import Ground
from writer.operations.unassigned import UnassignedObject
from writer.wakeup import Wakeup


@click.command()
@click.option("--project", help="Only what is this project's by its prices or metadata.")
@click.option("--ended", is_flag=True, help="Also subscriptions that are over.")
@json_option
def unassigned(project: str | None, *, ended: bool, as_json: bool) -> None:
    """List what is ours by price and grants nothing to anybody, with the reason and how to mend it.

    \b
    Example:
      billing unassigned --project shop
    """

    async def work(ground: Ground) -> Sequence[UnassignedObject]:
        return await nobodys.find(ground.transactions, project, ended=ended)

    found = on_ground(work)
    if as_json:
        print_json([nobodys.to_json(one) for one in found])
        return
    rows = [
        (
            one.id,
            one.customer_id,
            ", ".join(one.projects),
            ", ".join(one.products),
            _money(one),
            one.since_text,
            one.reason,
        )
        for one in found
    ]
    columns = ("id", "customer", "projects", "products", "amount", "since", "reason")
    print_table(columns, rows, none="everything that is ours is somebody's")
    if found:
        click.echo(f"to mend the first: {found[0].mend}", err=True)


@click.command()
@click.argument("object_id", metavar="sub_…|cs_…|cus_…")
@click.argument("user")
@click.option("--project", help="Whose user is meant, where a customer bought in several projects.")
@click.option("--reason", help="Why, for the audit log.")
@asking_option
@json_option
def claim(object_id: str, user: str, project: str | None, reason: str | None, *, yes: bool, as_json: bool) -> None:
    """Say whose a subscription, a purchase, or a customer with all it bought is (STRIPE_SECRET_KEY).

    Metadata at Stripe that names a user counts more. Claimed again for another user, it moves. On a terminal it shows
    first what is held and whose that is, and asks.

    \b
    Examples:
      billing claim sub_1Abc user_123 --reason "ticket 4711"
      billing claim cus_1Abc user_123 --project shop
    """
    wanted = Claim(object_id, user_of(user), project, reason)
    livemode = told(settings.read_stripe).livemode
    if asks(yes=yes):
        _show_effect(object_id)
        confirm(f"Give it to {user}?", yes=yes)

    async def work(ground: Ground, transport: StripeTransport) -> Claimed:
        gateway = StripeGateway(transport, Urgency.PAYER)
        common = (ground.engine, ground.transactions, ground.recompute)
        applier = Applier(*common, gateway, StripeMirror(ground.clock), Wakeup(), CollectorRegistry())
        desk = Claims(*common, applier, gateway, _nobody, livemode=livemode)
        return await desk.claim(wanted, actor())

    done = on_ground_with_stripe(work)
    if as_json:
        print_json(claims.to_json(done))
        return
    moved = f", before {done.before}'s" if done.before not in {None, done.user} else ""
    click.echo(f"{done.object_id} is {done.user}'s in {', '.join(done.projects)}{moved}")
    if done.assigned:
        click.echo(f"assigned: {', '.join(done.assigned)}")
    if done.left:
        click.echo(f"still nobody's, of the same customer: {', '.join(done.left)}", err=True)


def _show_effect(object_id: str) -> None:
    """What is held of it and whose that is now; on stderr."""
    found = on_ground(lambda ground: bought.look(ground.transactions, object_id))
    rows = [(one.id, one.user_id or "nobody", ", ".join(one.projects), ", ".join(one.prices)) for one in found]
    nothing = f"nothing of {object_id} is held here yet: Stripe is asked first"
    print_table(("what", "whose now", "projects", "prices"), rows, none=nothing, err=True)


def _money(one: UnassignedObject) -> str:
    return "" if one.amount is None or one.currency is None else f"{one.amount} {one.currency}"


def _nobody() -> None:
    """No relay runs in this process: a writer's finds the commit by its poll."""
