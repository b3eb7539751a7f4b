"""`billing log-level`."""

import click

from common.logs import LogLevel
from writer.cli.parameters import DURATION
from writer.cli.session import actor, json_option, operate, print_json, print_table
from writer.operations.log_levels import Asked, to_json
from writer.operations.operations import Operations

_DEFAULT = "default"
_COLUMNS = ("logger", "level", "until", "by", "since")


@click.command("log-level")
@click.argument("level", required=False, type=click.Choice([*(one.value.lower() for one in LogLevel), _DEFAULT]))
@click.option("--logger", help="Such as writer.pipeline, with what stands below it; all where left out.")
@click.option("--for", "seconds", type=DURATION, help="Such as 10m; until it is taken back where left out.")
@json_option
def log_level(level: str | None, logger: str | None, seconds: int | None, *, as_json: bool) -> None:
    """Tell how much every running writer logs, or change it; `default` goes back to LOG_LEVEL.

    \b
    Examples:
      billing log-level
      billing log-level debug --logger writer.pipeline --for 10m
      billing log-level default --logger writer.pipeline
    """

    async def work(operations: Operations) -> list[Asked]:
        if level is not None:
            wanted = None if level == _DEFAULT else LogLevel(level.upper())
            await operations.log_levels.ask(logger, wanted, seconds, actor())
        return list(await operations.log_levels.all())

    if level is None and (logger is not None or seconds is not None):
        raise click.UsageError("--logger and --for belong to a level")
    asked = [to_json(one) for one in operate(work)]
    if as_json:
        print_json({"asked": asked})
        return
    rows = [(one["logger"] or "all", one["level"], one["until"], one["actor"], one["set_at"]) for one in asked]
    print_table(_COLUMNS, rows, none="nothing is asked for: every writer logs as its LOG_LEVEL says")
