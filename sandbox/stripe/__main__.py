"""`python -m sandbox.stripe`: run the stand-in until SIGTERM or SIGINT."""

import asyncio
import logging
import signal
from pathlib import Path

import click

from sandbox.stripe.ledger import Settings
from sandbox.stripe.server import HOST, Options, StripeStandIn
from sandbox.stripe.shapes import CURRENT_VERSION


async def _run(options: Options, *, print_ready: bool) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with StripeStandIn(options) as standin:
        if print_ready:
            print(f"ready {standin.url}", flush=True)
        await ended.wait()


@click.command()
@click.option("--host", default=HOST, show_default=True, help="The interface to listen on.")
@click.option("--port", default=0, show_default=True, help="0 takes a free one.")
@click.option("--prefix", default="", help="A path to put everything under, such as /stripe.")
@click.option("--public-url", help="Where browsers reach it, if not there: its pages have these links.")
@click.option("--state", type=click.Path(path_type=Path), help="Keep everything in this file over a restart.")
@click.option("--webhook-url", help="Where events go.")
@click.option("--webhook-secret", default="whsec_test", show_default=True, help="What they are signed with.")
@click.option("--webhook-version", help="The API version they are rendered in.")
@click.option("--api-key", "api_keys", multiple=True, default=["sk_test_sandbox"], show_default=True)
@click.option("--default-version", default=CURRENT_VERSION, show_default=True, help="For requests that pin none.")
@click.option("--seed", help="Makes ids repeatable.")
@click.option("--retry-scale", default=1 / 300, help="Multiplies Stripe's waits between webhook attempts.")
@click.option("--print-ready/--no-print-ready", default=True, help="Print `ready URL` once listening.")
def main(api_keys: tuple[str, ...], default_version: str, *, print_ready: bool, **options: object) -> None:
    """Run a Stripe stand-in, on 127.0.0.1 unless told otherwise."""
    logging.basicConfig(level=logging.INFO, format="stripe-standin %(levelname)s %(message)s")
    settings = Settings(default_version=default_version)
    chosen = Options(api_keys=tuple(api_keys), settings=settings, **options)  # type: ignore[arg-type]
    asyncio.run(_run(chosen, print_ready=print_ready))


if __name__ == "__main__":
    main()
