"""One run of a command: settings read, work done, faults told in words with the right exit status."""

import asyncio
import getpass
import os
import sys
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Any, Final, NoReturn, TypeVar

import click
import orjson
from rich.console import Console
from rich.table import Table

from common.logs import configure_command
from common.problems import Problem
from common.settings import SettingsError
from writer import settings
from writer.operations.audit import Actor
from writer.operations.operating import Ground, grounded
from writer.operations.operations import Operations
from writer.refusals import RefusedError
from writer.supervision import DATABASE_FAULTS

T = TypeVar("T")


class Exit(IntEnum):
    """What the shell sees."""

    REFUSED = 1
    USAGE = 2


json_option: Final = click.option("--json", "as_json", is_flag=True, help="Answer JSON, for programs.")
yes_option: Final = click.option(
    "--yes", "-y", is_flag=True, help="Do not ask; needed where no terminal is there to ask on."
)

asking_option: Final = click.option("--yes", "-y", is_flag=True, help="Do not ask, on a terminal either.")
"""Of commands that take nothing away: without a terminal they act unasked."""


def actor() -> Actor:
    """Whoever is logged in, for the audit log."""
    try:
        return Actor(f"cli:{getpass.getuser()}")
    except (KeyError, OSError):
        return Actor("cli:unknown")


def operate(work: Callable[[Operations], Awaitable[T]]) -> T:
    """The result of `work`; every expected fault ends the process with its words on stderr."""
    return on_ground(lambda ground: work(ground.operations()))


def on_ground(work: Callable[[Ground], Awaitable[T]]) -> T:
    """The result of `work` on the database; every expected fault ends the process with its words on stderr."""
    configure_command()

    async def run() -> T:
        async with grounded(told(settings.read_operator), application_name="billing-cli") as ground:
            return await work(ground)

    try:
        return asyncio.run(run())
    except RefusedError as error:
        fail(error.detail, *error.faults)
    except Problem as problem:
        fail(problem.detail, status=Exit.USAGE)
    except DATABASE_FAULTS as error:
        fail(database_words(error))


def told(read: Callable[[Any], T]) -> T:
    """Settings out of the environment; all faults on stderr and exit status 2 where they are wrong."""
    try:
        return read(os.environ)
    except SettingsError as error:
        fail("the settings are wrong:", *error.faults, status=Exit.USAGE)


def fail(message: str, *details: str, status: Exit = Exit.REFUSED) -> NoReturn:
    """Say why on stderr and end."""
    click.echo(f"billing: {message}", err=True)
    for detail in details:
        click.echo(f"  {detail}", err=True)
    sys.exit(int(status))


def answerable(*, yes: bool) -> None:
    """Refuse what would ask where nobody can answer, as in a pipe or in cron; called before long work."""
    if not yes and not sys.stdin.isatty():
        fail(
            "this asks before it acts, and there is no terminal: nothing was done; --yes does not ask",
            status=Exit.USAGE,
        )


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal, where `yes` has not answered already; the question stands on stderr, beside any JSON."""
    answerable(yes=yes)
    if not yes:
        click.confirm(question, abort=True, err=True)


def asks(*, yes: bool) -> bool:
    """Whether somebody sits there who can be asked; where nobody does, what takes nothing away is done unasked."""
    return not yes and sys.stdin.isatty()


def print_json(body: Any) -> None:
    """One JSON document on stdout."""
    click.echo(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode())


def print_table(columns: tuple[str, ...], rows: list[tuple[Any, ...]], *, none: str, err: bool = False) -> None:
    """Rows for people, or a sentence where there are none; `err`: on stderr, beside any JSON."""
    if not rows:
        click.echo(none, err=err)
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")  # an id that is cut off is of no use
    for row in rows:
        table.add_row(*["" if cell is None else str(cell) for cell in row])
    # A pipe has no width; cutting off what a program reads would be a loss.
    stream = sys.stderr if err else sys.stdout
    Console(file=stream, width=None if stream.isatty() else 200, highlight=False, markup=False).print(table)


def database_words(error: BaseException) -> str:
    """One of DATABASE_FAULTS, in words that hold no secret."""
    # The driver's own words may hold the connection's URL; its kind and the database's code do not.
    code = getattr(getattr(error, "orig", error), "sqlstate", None)
    if code == "42P01":
        return "the database has no schema yet: run billing migrate"
    kind = type(getattr(error, "orig", None) or error).__name__
    return f"the database failed ({kind}{f', {code}' if code else ''}): check DATABASE_URL and that Postgres runs"
