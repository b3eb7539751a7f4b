"""`billing catalog`."""

from collections.abc import Mapping
from typing import TextIO

import click
import yaml

from common.identifiers import ProjectId
from writer.apply.mirror import Mirrored
from writer.catalogue.declared import ProjectCatalog
from writer.catalogue.yaml import FORMAT, CatalogFileError, load
from writer.cli.session import actor, confirm, fail, json_option, operate, print_json, print_table, yes_option
from writer.cli.stripe_session import operate_with_stripe
from writer.gateway.stripe_gateway import StripeGateway
from writer.gateway.transport import StripeTransport
from writer.operations import catalogue_view
from writer.operations.catalogue_view import Plan
from writer.operations.operations import Operations


@click.group()
def catalog() -> None:
    """The catalogue: features, and what each price or product grants."""


@catalog.command()
@click.argument("project")
@json_option
def show(project: str, *, as_json: bool) -> None:
    """Show what was declared, in the form of catalog.yaml; with --json also what is in force.

    \b
    Example:
      billing catalog show shop > catalog.yaml
    """
    view = operate(lambda operations: operations.catalogue(project))
    if as_json:
        print_json(catalogue_view.to_json(view))
        return
    whole = {"version": FORMAT, "projects": {project: catalogue_view.declared_to_json(view.declared)}}
    click.echo(yaml.safe_dump(whole, sort_keys=False, allow_unicode=True), nl=False)


@catalog.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@json_option
def plan(file: TextIO, *, as_json: bool) -> None:
    """Show what applying FILE (- is stdin) would change, and for how many users. Nothing is kept.

    \b
    Example:
      billing catalog plan catalog.yaml
    """
    plans = operate(lambda operations: _plans(operations, _load(file)))
    if as_json:
        print_json({name: catalogue_view.plan_to_json(found) for name, found in plans.items()})
    else:
        _print_plans(plans)


@catalog.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@yes_option
@json_option
def apply(file: TextIO, *, yes: bool, as_json: bool) -> None:
    """Put the catalogues in FILE (- is stdin) in force; users are computed again in the background.

    \b
    Example:
      billing catalog apply catalog.yaml
    """
    declared = _load(file)
    plans = operate(lambda operations: _plans(operations, declared))
    if not as_json:
        _print_plans(plans)
    if any(not found.is_empty for found in plans.values()):
        confirm("Apply this?", yes=yes)
    changed = operate(lambda operations: _apply(operations, declared))
    if as_json:
        print_json({name: {"changed": new} for name, new in changed.items()})
    else:
        click.echo(f"in force: {', '.join(name for name, new in changed.items() if new) or 'nothing new'}")


@catalog.command()
@json_option
def sync(*, as_json: bool) -> None:
    """Bring all products and prices over from Stripe (STRIPE_SECRET_KEY).

    \b
    Example:
      billing catalog sync
    """

    async def work(operations: Operations, transport: StripeTransport) -> Mirrored:
        return await operations.sync_catalogue(StripeGateway(transport), actor())

    done = operate_with_stripe(work)
    if as_json:
        print_json({"changed": done.revised, "moved_prices": sorted(done.moved_prices)})
    else:
        click.echo(f"mirrored; {'the catalogue changed' if done.revised else 'nothing new for any catalogue'}")


def _load(file: TextIO) -> Mapping[ProjectId, ProjectCatalog]:
    try:
        return load(file.read())
    except UnicodeDecodeError:
        fail(f"{file.name} is not UTF-8 text")
    except CatalogFileError as error:
        fail(f"{file.name} is not taken:", *error.faults)


async def _plans(operations: Operations, declared: Mapping[ProjectId, ProjectCatalog]) -> dict[ProjectId, Plan]:
    return {name: await operations.plan_catalogue(name, one) for name, one in declared.items()}


async def _apply(operations: Operations, declared: Mapping[ProjectId, ProjectCatalog]) -> dict[ProjectId, bool]:
    done = {name: await operations.apply_catalogue(name, one, actor()) for name, one in declared.items()}
    return {name: bool(applied.commits) for name, applied in done.items()}


def _print_plans(plans: Mapping[ProjectId, Plan]) -> None:
    for name, found in plans.items():
        click.echo(f"{name}: {found.users} users would be computed again")
        rows: list[tuple[str, ...]] = [(one.effect.value, one.code, "", "", "") for one in found.features]
        rows += [
            (
                one.change.effect.value,
                f"{one.change.target} {one.change.feature_code or ''}".strip(),
                one.change.before or "",
                one.change.after or "",
                str(one.users),
            )
            for one in found.plans
        ]
        print_table(("", "what", "before", "after", "users"), rows, none="  nothing would change")
