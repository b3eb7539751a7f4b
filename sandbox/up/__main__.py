"""`python -m sandbox.up`: start the stack and the toy app, keep them until Ctrl-C."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import click

from sandbox.clients import CallError
from sandbox.interrupt import Interrupted, run
from sandbox.processes import ProcessError
from sandbox.seed import SeedError
from sandbox.service import ROOT
from sandbox.stack import Stack, StackConfig
from sandbox.toy.server import Toy
from sandbox.up.handout import curl_lines, environment_file, settings
from sandbox.up.lock import AlreadyRunningError, held

DIRECTORY: Final = ROOT / ".sandbox"
FAULTS: Final = (CallError, ProcessError, SeedError, TimeoutError, OSError)
WATCH_S: Final = 1.0


async def _up(directory: Path, writers: int) -> int:
    config = StackConfig(directory / "logs", directory / "data", writers=writers)
    _say("Starting Postgres, Redis, Stripe's stand-in, the writer and two sidecars:")
    async with Stack(config, lambda text: _say(f"  {text}")) as stack:
        toy = Toy(stack, stack.blueprint.port("toy"))
        async with toy.running():
            with environment_file(directory / "env", settings(stack)):
                _welcome(stack, toy.url, directory)
                await _watch(stack)
    return 0


def _welcome(stack: Stack, url: str, directory: Path) -> None:
    _say(f"\nOpen  {url}\n\nor ask from a shell:\n")
    for line in curl_lines(stack, url):
        _say(line)
    _say(f"\nThe settings of all this:  . {_shown(directory / 'env')}      logs: {_shown(directory / 'logs')}")
    _say("Ctrl-C ends everything; the data stays for the next time.")


async def _watch(stack: Stack) -> None:
    """Tell when a part is down that was up, until cancelled."""
    down: set[str] = set()
    while True:
        await asyncio.sleep(WATCH_S)
        now = {name for name, part in stack.parts.items() if not part.running}
        for name in sorted(now - down):
            _say(f"{name} is down; its log: {_shown(stack.config.logs / f'{name}.log')}")
        for name in sorted(down - now):
            _say(f"{name} is back")
        down = now


def _shown(path: Path) -> str:
    return os.path.relpath(path)


def _say(text: str) -> None:
    print(text, flush=True)


@click.command()
@click.option("--directory", type=click.Path(path_type=Path), default=DIRECTORY, help="Where data, logs and env go.")
@click.option("--writers", type=click.IntRange(1, 4), default=1, show_default=True)
def main(directory: Path, writers: int) -> None:
    """Start the whole local stack and keep it until Ctrl-C."""
    directory = directory.absolute()
    try:
        with held(directory / "lock"):
            (directory / "env").unlink(missing_ok=True)  # of a run that was killed
            sys.exit(run(_up(directory, writers)))
    except Interrupted:
        _say("\nEnded. Every process was stopped; the data is kept.")
    except AlreadyRunningError as error:
        sys.exit(f"make up: {error}")
    except FAULTS as error:
        sys.exit(f"make up: {error}\nthe logs of all parts are in {_shown(directory / 'logs')}")


if __name__ == "__main__":
    main()
