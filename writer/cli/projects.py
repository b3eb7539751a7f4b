"""`billing project`."""

import click

from writer.cli.session import actor, json_option, operate, print_json, print_table
from writer.operations import projects
from writer.operations.projects import Changes, Project


@click.group()
def project() -> None:
    """Projects: each a world of users and features of its own."""


@project.command()
@click.argument("project_id")
@click.option("--name", help="For people; the project id where it is left out.")
@click.option("--return-host", "hosts", multiple=True, help="Host that a checkout may return to; repeatable.")
@json_option
def create(project_id: str, name: str | None, hosts: tuple[str, ...], *, as_json: bool) -> None:
    """Create a project, with an empty catalogue.

    \b
    Example:
      billing project create shop --name "The shop" --return-host shop.example.com
    """
    made = operate(lambda operations: operations.create_project(project_id, name or project_id, hosts, actor()))
    if as_json:
        print_json(projects.to_json(made))
    else:
        click.echo(f"created project {made.public_id}; next: billing key create {made.public_id} APP")


@project.command(name="list")
@json_option
def list_(*, as_json: bool) -> None:
    """List all projects.

    \b
    Example:
      billing project list --json
    """
    found = operate(lambda operations: operations.list_projects())
    if as_json:
        print_json([projects.to_json(one) for one in found])
        return
    rows = [(p.public_id, p.name, p.user_count, p.catalog_version, p.position.token) for p in found]
    print_table(("project", "name", "users", "catalogue", "position"), rows, none="there is no project yet")


@project.command()
@click.argument("project_id")
@json_option
def show(project_id: str, *, as_json: bool) -> None:
    """Show one project.

    \b
    Example:
      billing project show shop
    """
    found = operate(lambda operations: operations.project(project_id))
    if as_json:
        print_json(projects.to_json(found))
    else:
        _print(found)


@project.command()
@click.argument("project_id")
@click.option("--name", help="For people.")
@click.option("--return-host", "hosts", multiple=True, help="All hosts that a checkout may return to; repeatable.")
@click.option("--no-return-hosts", is_flag=True, help="Let no checkout of this project lead anywhere.")
@click.option("--portal-configuration", metavar="BPC", help="The portal's configuration at Stripe, bpc_…; '' for none.")
@json_option
def update(
    project_id: str,
    name: str | None,
    hosts: tuple[str, ...],
    no_return_hosts: bool,
    portal_configuration: str | None,
    *,
    as_json: bool,
) -> None:
    """Change a project's settings; what is not named stays. The hosts given replace all that there were.

    \b
    Examples:
      billing project update shop --return-host shop.example.com --return-host www.shop.example.com
      billing project update shop --portal-configuration bpc_1Abc
    """
    if hosts and no_return_hosts:
        raise click.UsageError("--return-host and --no-return-hosts exclude each other")
    changes = Changes(name, hosts if hosts or no_return_hosts else None, portal_configuration)
    if changes == Changes():
        raise click.UsageError("nothing to change: name --name, --return-host or --portal-configuration")
    changed = operate(lambda operations: operations.update_project(project_id, changes, actor()))
    if as_json:
        print_json(projects.to_json(changed))
    else:
        _print(changed)


def _print(found: Project) -> None:
    for name, value in projects.to_json(found).items():
        click.echo(f"{name + ':':22}{', '.join(value) if isinstance(value, list) else '' if value is None else value}")
