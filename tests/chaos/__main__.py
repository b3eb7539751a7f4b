"""`python -m tests.chaos --minutes 5 --seed N`: real processes, real faults, and an observer who believes no answer."""

import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import click
import uvloop

from tests.chaos.report import table
from tests.chaos.season import SeasonConfig, play

_EVENTS_A_SECOND: Final = 200.0


@click.command()
@click.option("--minutes", default=5.0, show_default=True, help="0: every fault once, several at a time.")
@click.option("--seed", type=int, help="Draws the same acts and faults again; timing is the machine's.")
@click.option("--logs", type=click.Path(path_type=Path), help="Where the processes' logs are kept.")
def main(minutes: float, seed: int | None, logs: Path | None) -> None:
    """Break everything while people pay, and hold every answer beside what Postgres held."""
    chosen = secrets.randbelow(2**31) if seed is None else seed
    click.echo(f"seed={chosen}")
    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - began:6.1f} s  {text}")

    with tempfile.TemporaryDirectory(prefix="chaos-") as kept:
        folder = (logs or Path(kept)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        config = SeasonConfig(chosen, folder, seconds=minutes * 60 or None, rolled_at=_EVENTS_A_SECOND)
        outcome = uvloop.run(play(config, say))
    click.echo(f"\n{table(outcome)}")
    sys.exit(1 if outcome.violations else 0)


if __name__ == "__main__":
    main()
