"""`billing migrate`, `billing check-settings`."""

import asyncio
import os
from pathlib import Path
from typing import Final

import click
from alembic import command
from alembic.config import Config
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import SQLAlchemyError

from common.settings import SettingsError
from writer import settings
from writer.cli.session import Exit, fail, json_option, print_json, told
from writer.db.engine import create_engine
from writer.health import Health
from writer.settings import DatabaseSettings

_MIGRATIONS: Final = Path(__file__).resolve().parents[2] / "migrations"


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit status 1 where the schema is not what is needed.")
@json_option
def migrate(*, check: bool, as_json: bool) -> None:
    """Bring the database's schema to what this release needs.

    \b
    Examples:
      billing migrate
      billing migrate --check
    """
    database = told(settings.read_database)
    if not check:
        _upgrade()
    reason = asyncio.run(_reason(database))
    if as_json:
        print_json({"current": reason is None, "reason": reason})
    if reason is not None:
        fail(reason)
    if not as_json:
        click.echo("the schema is what this release needs")


@click.command(name="check-settings")
@json_option
def check_settings(*, as_json: bool) -> None:
    """Read the writer's settings from the environment and name every fault.

    \b
    Example:
      billing check-settings
    """
    try:
        settings.read(os.environ)
    except SettingsError as error:
        if as_json:
            print_json({"complete": False, "faults": list(error.faults)})
        fail("the settings are wrong:", *error.faults, status=Exit.USAGE)
    if as_json:
        print_json({"complete": True, "faults": []})
    else:
        click.echo("the writer's settings are complete")


def _upgrade() -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        command.upgrade(config, "head")
    except SQLAlchemyError as error:
        kind = type(getattr(error, "orig", None) or error).__name__
        fail(f"the migration failed ({kind}): check DATABASE_URL and that Postgres runs")


async def _reason(database: DatabaseSettings) -> str | None:
    engine = create_engine(database, application_name="billing-cli")
    try:
        return await Health(engine, CollectorRegistry()).unready_reason()
    finally:
        await engine.dispose()
