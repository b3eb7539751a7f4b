"""`python -m tests.chaos.disaster`: the database is lost, a backup is restored, and Stripe tells what came in between.

Life, a backup, more life, the loss, the restore, the writers' start; sidecars notice the new epoch and load again, a
reconcile run brings back what was bought, cancelled and refunded meanwhile; in the end all is as the oracle says.
Once by `billing backup` and `billing restore`, once by the guide's `pg_dump` and `psql`.
"""

import asyncio
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click
import uvloop

from sandbox.binaries import find_postgres
from tests.chaos import plant as plants
from tests.chaos.ending import Acknowledged, crashes, ending
from tests.chaos.faults import Ground
from tests.chaos.plant import SidecarKind
from tests.chaos.season import SeasonConfig, opened
from tests.lives.goods import PROJECTS
from tests.support.waiting import eventually, until

PATIENCE_S: Final = 90.0
_KINDS: Final = (SidecarKind("disk", disk=True),)
_WITHOUT_A_DATABASE_S: Final = 0.3
_COMMAND: Final = (sys.executable, "-c", "from writer.cli import main; main()")


@dataclass(frozen=True, slots=True)
class DisasterConfig:
    """`acts` happen before each backup, and as many after it."""

    seed: int
    folder: Path
    acts: int = 6
    acts_per_second: float = 6.0


@dataclass(slots=True)
class Aftermath:
    """What came of it."""

    acts: int = 0
    events: int = 0
    lost: int = 0
    """Acknowledged events that went with a database."""
    recoveries: dict[str, float] = field(default_factory=dict)
    """By way: seconds from the restore's beginning until every sidecar held the new epoch."""
    wrong: list[str] = field(default_factory=list)


Make = Callable[[Ground], Awaitable[None]]


async def by_command(ground: Ground) -> None:
    """`billing backup`."""
    await _billing(ground, "backup", "--directory", str(_folder(ground)), "--keep-days", "30")


async def restore_by_command(ground: Ground) -> None:
    """`billing restore`."""
    (dump,) = await asyncio.to_thread(lambda: list(_folder(ground).glob("*.dump")))
    await _billing(ground, "restore", str(dump), "--yes")


async def by_psql(ground: Ground) -> None:
    """The guide's `pg_dump … > backup.sql`."""
    await asyncio.to_thread(ground.plant.run, "pg_dump", "--file", ground.dump_file)


async def restore_by_psql(ground: Ground) -> None:
    """The guide's `psql … < backup.sql`."""
    await asyncio.to_thread(ground.plant.run, "psql", "--quiet", "--file", ground.dump_file)


WAYS: Final[dict[str, tuple[Make, Make]]] = {
    "billing restore": (by_command, restore_by_command),
    "psql": (by_psql, restore_by_psql),
}


async def play(config: DisasterConfig) -> Aftermath:
    """Lose the database once for each way, on one plant."""
    season = SeasonConfig(config.seed, config.folder, acts_per_second=config.acts_per_second)
    async with opened(season, writers=1, kinds=_KINDS) as (ground, standin):
        acknowledged = Acknowledged(standin.deliveries)
        ground.on_restore = acknowledged.may_be_lost
        looking, living = (asyncio.create_task(work) for work in (ground.reader.run(), ground.billing.run()))
        after = Aftermath()
        try:
            for name, (make, restore) in WAYS.items():
                after.recoveries[name] = await _disaster(ground, config, make, restore)
            ground.billing.end()
            await living
            after.wrong += await ending(ground, standin, acknowledged)
        finally:
            for task in (looking, living):
                task.cancel()
            await asyncio.gather(looking, living, return_exceptions=True)
        after.acts, after.events, after.lost = ground.billing.acts, len(acknowledged.events), acknowledged.lost
        after.wrong += ground.billing.faults + crashes(config.folder)
        for commits in ground.reader.commits.values():
            after.wrong += commits.faults
        return after


async def _disaster(ground: Ground, config: DisasterConfig, make: Make, restore: Make) -> float:
    plant, billing = ground.plant, ground.billing
    await _lived(ground, config.acts)
    async with billing.nobody_operates():
        given = billing.given()
        await make(ground)
    await _lived(ground, config.acts)
    async with billing.nobody_operates():
        await eventually(ground.reader.look, PATIENCE_S)
        epochs = _epochs(ground)
        await plant.postgres.kill()
        await asyncio.sleep(_WITHOUT_A_DATABASE_S)
        for writer in plant.writers:
            await writer.stop()
        ground.on_restore()
        began = time.monotonic()
        async with ground.reader.away():
            await plant.postgres.start()
            await plant.new_database()
            await restore(ground)
        billing.forget_since(given)
        for writer in plant.writers:
            await writer.start()
    await _noticed(ground, epochs)
    took = time.monotonic() - began
    await billing.reconcile()
    return took


async def _lived(ground: Ground, acts: int) -> None:
    wanted = ground.billing.acts + acts
    await until(lambda: ground.billing.acts >= wanted, PATIENCE_S)


async def _noticed(ground: Ground, epochs: dict[str, int]) -> None:
    """Wait until every sidecar holds a head of a newer epoch, and says that it is whole."""

    async def noticed() -> bool:
        if not await ground.reader.look():
            return False
        heads = {project: ground.reader.commits[project].head for project in PROJECTS}
        if any(heads[project].epoch <= epochs[project] for project in PROJECTS):
            return False
        for one in ground.plant.sidecars:
            status = await one.status(ground.plant.http)
            if status is None or not all(plants.stands_at(status[project], heads[project]) for project in PROJECTS):
                return False
        return True

    await eventually(noticed, PATIENCE_S)


def _epochs(ground: Ground) -> dict[str, int]:
    return {project: ground.reader.commits[project].head.epoch for project in PROJECTS}


def _folder(ground: Ground) -> Path:
    return ground.plant.folder / "backups"


async def _billing(ground: Ground, *arguments: str) -> None:
    programs = str(find_postgres().postgres.parent)
    process = await asyncio.create_subprocess_exec(
        *_COMMAND, *arguments, env={**os.environ, "DATABASE_URL": ground.plant.database_url, "POSTGRES_BIN": programs},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    if process.returncode:
        raise AssertionError(f"billing {' '.join(arguments)}: {said.decode()}")


@click.command()
@click.option("--acts", default=400, show_default=True, help="Before each backup, and as many after it.")
@click.option("--seed", type=int, help="Draws the same acts again; timing is the machine's.")
def main(acts: int, seed: int | None) -> None:
    """Lose the database twice, restore it, and hold what comes of it beside an oracle."""
    chosen = secrets.randbelow(2**31) if seed is None else seed
    click.echo(f"seed={chosen}")
    with tempfile.TemporaryDirectory(prefix="disaster-") as folder:
        after = uvloop.run(play(DisasterConfig(chosen, Path(folder), acts)))
    click.echo(f"acts={after.acts} events={after.events} lost_with_a_database={after.lost}")
    for way, took in after.recoveries.items():
        click.echo(f"{way}: every sidecar in the new epoch {took:.1f} s after the restore began")
    click.echo("\n".join(after.wrong) or "everything is as the oracle says")
    sys.exit(1 if after.wrong else 0)


if __name__ == "__main__":
    main()
