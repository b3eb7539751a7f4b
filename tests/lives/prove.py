"""`python -m tests.lives.prove --lives N --seed S`: play lives until oracle and writer differ, or all are played.

It prints its seed first, and last a line with lives, events and faults. The exit status is 1 where something differs.
With `--shrink` it then cuts the town down to what it takes, and prints that as an expression for `regressions.py`.
"""

import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import psycopg
import uvloop

from sandbox.postgres import PostgresConfig, PostgresServer
from sandbox.redis import RedisConfig, RedisServer
from tests.lives.compare import Difference
from tests.lives.generate import plan
from tests.lives.ground import Ground
from tests.lives.outcome import Outcome
from tests.lives.plan import CALM, Fault, Plan
from tests.lives.shrink import shrunk
from tests.lives.stage import play
from tests.support.postgres import TEMPLATE, migrate

_SHOWN: Final = 20
_ATTEMPTS: Final = 2
TOGETHER: Final = 50
"""Lives of one town."""


@asynccontextmanager
async def ground(logs: Path) -> AsyncIterator[Ground]:
    """Servers of one's own."""
    async with (
        PostgresServer(PostgresConfig(durable=False, log_path=logs / "postgres.log")) as postgres,
        RedisServer(RedisConfig(log_path=logs / "redis.log")) as redis,
    ):
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template1")
        migrate(postgres.url_of(TEMPLATE))
        yield Ground(postgres, TEMPLATE, redis.url, logs)


def summary(outcome: Outcome, seconds: float) -> str:
    """The last line."""
    faults = " ".join(f"{fault.value}={outcome.faults[fault]}" for fault in Fault)
    return (
        f"lives={outcome.lives} events={outcome.events} deliveries={outcome.delivered} "
        f"acts={outcome.done.total()} remembered={outcome.remembered} faults={outcome.faults.total()} {faults} "
        f"differences={len(outcome.differences)} seconds={seconds:.0f}"
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be played."""

    lives: int
    seed: int
    mutation: str | None = None
    shrink: bool = False


async def prove(wanted: Wanted, logs: Path) -> int:
    """Play; the exit status. Ended early, it still says how far it came."""
    total, began = Outcome(), time.monotonic()
    try:
        async with ground(logs) as servers:
            while total.lives < wanted.lives and not total.differences:
                number = wanted.seed + total.lives // TOGETHER
                town = plan(number, min(TOGETHER, wanted.lives - total.lives))
                click.echo(f"town {number}\r", err=True, nl=False)
                total.add(await _outcome(servers, town, wanted.mutation))
                if total.differences:
                    click.echo("\n  ".join([f"town {number} differs:", *map(str, total.differences[:_SHOWN])]))
                    if wanted.shrink:
                        click.echo(await _shrunk(servers, town, total.differences, wanted.mutation))
    finally:
        click.echo(summary(total, time.monotonic() - began))
    return 1 if total.differences else 0


async def _outcome(servers: Ground, town: Plan, mutation: str | None) -> Outcome:
    """What a town comes to; one that never comes to an end differs, too."""
    try:
        return await play(servers, town, mutation=mutation, name=f"lives_{town.seed}")
    except AssertionError as error:
        return Outcome(len(town.lives), differences=[Difference(("", "the town"), "the end", "", str(error))])


async def _shrunk(servers: Ground, town: Plan, found: Sequence[Difference], mutation: str | None) -> Plan:
    """The smallest plan that differs; where faults play a part, each is played twice before it counts as well."""

    async def differs(smaller: Plan) -> bool:
        click.echo(f"lives={len(smaller.lives)} acts={len(smaller.acts)}\r", err=True, nl=False)
        for _ in range(1 if smaller.rates == CALM else _ATTEMPTS):
            if (await _outcome(servers, smaller, mutation)).differences:
                return True
        return False

    names = {found.who[1].partition("-")[0] for found in found}
    return await shrunk(town, [life for life in town.lives if life in names] or town.lives, differs)


@click.command()
@click.option("--lives", default=300, show_default=True)
@click.option("--seed", type=int, help="Repeats what was drawn before; without it another one each time.")
@click.option("--mutation", help="Break the writer on purpose, to see whether that is noticed.")
@click.option("--shrink", is_flag=True, help="Cut what differs down, and print it as it goes into regressions.py.")
@click.option("--logs", type=click.Path(path_type=Path), help="Where the servers' logs go.")
def main(lives: int, seed: int | None, mutation: str | None, logs: Path | None, *, shrink: bool) -> None:
    """Play generated lives with faults and compare what the writer holds with the oracle."""
    chosen = secrets.randbelow(2**31) if seed is None else seed
    click.echo(f"seed={chosen}")
    with tempfile.TemporaryDirectory(prefix="lives-") as kept:
        sys.exit(uvloop.run(prove(Wanted(lives, chosen, mutation, shrink), logs or Path(kept))))


if __name__ == "__main__":
    main()
