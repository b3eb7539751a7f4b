"""`billing verify`."""

from collections.abc import Sequence
from dataclasses import dataclass

import click

from writer import settings
from writer.cache.copy import CacheCopy
from writer.cli.progress import Show, progress
from writer.cli.redis_session import redis_commands
from writer.cli.session import Exit, json_option, on_ground, print_json, print_table, told
from writer.operations.operating import Ground
from writer.relay.backlog import Backlog
from writer.relay.heads import Heads
from writer.relay.presence import Presences
from writer.relay.project_snapshot import ProjectSnapshots
from writer.verify.redis_side import PATIENCE, Tell
from writer.verify.report import Report, report_to_json
from writer.verify.verifier import Verifier
from writer.wakeup import Wakeup


@dataclass(frozen=True, slots=True)
class _Asked:
    projects: Sequence[str]
    patience: float
    quiet: bool


@click.command()
@click.argument("projects", nargs=-1, metavar="[PROJECT]...")
@click.option(
    "--patience",
    type=click.FloatRange(0, 600),
    default=PATIENCE,
    show_default=True,
    help="Seconds that what does not agree may be on its way.",
)
@json_option
def verify(*, projects: tuple[str, ...], patience: float, as_json: bool) -> None:
    """Compare what Postgres, Redis and the live sidecars hold, and name what differs.

    Every document in Postgres is compared with its own digest and with Redis's, and each sidecar's digest with that of
    the revision it stands at. Changes nothing; works while changes go on. Without PROJECT: all. Exit status 1 where
    anything differs. Needs DATABASE_URL and REDIS_URL.

    \b
    Examples:
      billing verify
      billing verify shop
      billing verify shop --json
    """
    told(settings.read_redis)  # before anything is opened
    asked = _Asked(projects, patience, quiet=as_json)
    reports = on_ground(lambda ground: _verify(ground, asked))
    if as_json:
        print_json([report_to_json(report) for report in reports])
    else:
        for report in reports:
            _print(report)
    if not all(report.equal for report in reports):
        raise SystemExit(Exit.REFUSED)


async def _verify(ground: Ground, asked: _Asked) -> list[Report]:
    operations = ground.operations()
    listed = [await operations.project(name) for name in asked.projects] or await operations.list_projects()
    async with redis_commands() as commands:
        verifier = Verifier(
            Heads(ground.engine, Wakeup()),
            ProjectSnapshots(ground.engine),
            Backlog(ground.engine),
            CacheCopy(commands, None),
            Presences(commands, ground.clock),
            asked.patience,
        )
        with progress(quiet=asked.quiet) as show:
            return [await verifier.verify(one.id, _telling(show, one.public_id)) for one in listed]


def _telling(show: Show, project: str) -> Tell:
    return lambda done, total: show(f"{project}: documents compared", done, total)


def _print(report: Report) -> None:
    head = report.head
    verdict = "equal" if report.equal else f"{len(report.findings) + report.unnamed} differences"
    click.echo(f"{report.project}: {verdict}; committed is {head.position.token}, {head.count} users")
    redis = "says nothing" if report.redis is None else report.redis.token
    click.echo(f"  Redis: {redis}, {report.documents} documents compared")
    rows = [
        (
            one.instance,
            "" if one.position is None else one.position.token,
            one.behind,
            {True: "agrees", False: "differs", None: "unknown"}[one.agrees],
            "yes" if one.complete else "no",
            one.age_ms,
            one.mode,
            ", ".join(one.differing),
        )
        for one in report.sidecars
    ]
    columns = ("sidecar", "stands at", "behind", "digest", "proven", "age ms", "follows", "differed at its last repair")
    print_table(columns, rows, none="  no live sidecars")
    if report.findings:
        found = [(one.place.value, one.kind.value, one.subject, one.detail) for one in report.findings]
        print_table(("where", "what", "of", "detail"), found, none="")
    if report.unnamed:
        click.echo(f"  and {report.unnamed} more")
