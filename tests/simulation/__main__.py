"""`python -m tests.simulation --seeds N --seed S`: live through worlds, and tell of each in which something is wrong.

The last line sums up. The exit status is 1 where something was wrong. `--break NAME` breaks the product on purpose,
and stops where that is noticed.
"""

import sys

import click

from tests.simulation.breaks import BREAKS
from tests.simulation.run import Total, prove


@click.command()
@click.option("--seeds", type=int, help="How many worlds; one where a seed is named, else 500.")
@click.option("--seed", type=int, help="The first one. A seed names a world: it is the same each time.")
@click.option("--break", "broken", type=click.Choice(sorted(BREAKS)), help="Break one rule on purpose.")
def main(seeds: int | None, seed: int | None, broken: str | None) -> None:
    """Simulate propagation under faults and compare it with an oracle after every step."""
    total = Total()
    count = seeds if seeds is not None else 500 if seed is None or broken else 1
    for line in prove(1 if seed is None else seed, count, broken, total):
        click.echo(line)
    sys.exit(1 if total.failures else 0)


if __name__ == "__main__":
    main()
