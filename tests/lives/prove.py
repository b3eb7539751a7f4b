"""`python -m tests.lives.prove --lives N --seed S`: play lives until oracle and writer differ, or all are played.

It prints its seed first, and last a line with lives, events and faults. The exit status is 1 where something differs.
"""

import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import click
import psycopg
import uvloop

from sandbox.postgres import PostgresConfig, PostgresServer
from sandbox.redis import RedisConfig, RedisServer
from tests.lives.generate import plan
from tests.lives.plan import Fault
from tests.lives.stage import Ground, Outcome, play
from tests.support.postgres import TEMPLATE, migrate

_SHOWN: Final = 20
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
        f"acts={outcome.done.total()} faults={outcome.faults.total()} {faults} "
        f"differences={len(outcome.differences)} seconds={seconds:.0f}"
    )


async def prove(lives: int, seed: int, logs: Path, mutation: str | None) -> int:
    """Play; the exit status. Ended early, it still says how far it came."""
    total, began = Outcome(), time.monotonic()
    try:
        async with ground(logs) as servers:
            while total.lives < lives and not total.differences:
                number = seed + total.lives // TOGETHER
                town = plan(number, min(TOGETHER, lives - total.lives))
                click.echo(f"town {number}\r", err=True, nl=False)
                total.add(await play(servers, town, mutation=mutation, name=f"lives_{number}"))
                if total.differences:
                    click.echo("\n  ".join([f"town {number} differs:", *map(str, total.differences[:_SHOWN])]))
    finally:
        click.echo(summary(total, time.monotonic() - began))
    return 1 if total.differences else 0


@click.command()
@click.option("--lives", default=300, show_default=True)
@click.option("--seed", type=int, help="Repeats what was drawn before; without it another one each time.")
@click.option("--mutation", help="Break the writer on purpose, to see whether that is noticed.")
@click.option("--logs", type=click.Path(path_type=Path), help="Where the servers' logs go.")
def main(lives: int, seed: int | None, mutation: str | None, logs: Path | None) -> None:
    """Play generated lives with faults and compare what the writer holds with the oracle."""
    chosen = secrets.randbelow(2**31) if seed is None else seed
    click.echo(f"seed={chosen}")
    with tempfile.TemporaryDirectory(prefix="lives-") as kept:
        sys.exit(uvloop.run(prove(lives, chosen, logs or Path(kept), mutation)))


if __name__ == "__main__":
    main()
