"""`python -m sandbox.containers seed` fills the sandbox's writer and stand-in; `toy` serves the toy app."""

import asyncio
import sys
from pathlib import Path
from typing import Final

import aiohttp
import click

from sandbox.clients import TIMEOUT, CallError
from sandbox.containers.backstage import Places, containers, fill
from sandbox.interrupt import Interrupted, run
from sandbox.seed import SeedError
from sandbox.toy.server import Toy

FOLDER: Final = Path("/var/lib/billing-sandbox")
TOY_PORT: Final = 8090


async def _seed(places: Places, admin_key: str) -> int:
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        await fill(session, places, admin_key)
    print("the sandbox is filled: two apps, their catalogues, products, prices and keys")
    return 0


async def _toy(places: Places, public_url: str) -> int:
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        toy = Toy(await containers(session, places), TOY_PORT, host="0.0.0.0", public_url=public_url)  # noqa: S104
        async with toy.running():
            print(f"open {public_url}", flush=True)
            await asyncio.Event().wait()
    return 0


@click.group()
@click.option("--writer-url", envvar="WRITER_URL", required=True, help="The sandbox's writer.")
@click.option("--stripe-url", envvar="STRIPE_API_BASE", required=True, help="Stripe's stand-in.")
@click.option("--folder", type=click.Path(path_type=Path), default=FOLDER, show_default=True, help="Where keys are.")
@click.pass_context
def main(context: click.Context, writer_url: str, stripe_url: str, folder: Path) -> None:
    """Fill and show the sandbox of docker-compose.yml."""
    context.obj = Places(writer_url, stripe_url, folder)


@main.command()
@click.option("--admin-key", envvar="ADMIN_API_KEY", required=True, help="The sandbox writer's.")
@click.pass_obj
def seed(places: Places, admin_key: str) -> None:
    """Make products, projects, catalogues and keys; what is there already stays."""
    sys.exit(run(_seed(places, admin_key)))


@main.command()
@click.option("--public-url", required=True, help="Where a browser reaches the toy app.")
@click.option("--public-stripe-url", required=True, help="Where a browser reaches Stripe's pages.")
@click.pass_obj
def toy(places: Places, public_url: str, public_stripe_url: str) -> None:
    """Serve the toy app until SIGTERM."""
    sys.exit(run(_toy(Places(places.writer_url, places.stripe_url, places.folder, public_stripe_url), public_url)))


if __name__ == "__main__":
    try:
        main()
    except Interrupted:
        sys.exit(0)
    except (CallError, SeedError, OSError, KeyError) as error:
        sys.exit(f"sandbox.containers: {type(error).__name__}: {error}")
