"""The containers behind the toy app, reached by their names on the network that Compose makes."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from sandbox.clients import CallError, Endpoint, Sidecar, Stripe, Writer
from sandbox.keyring import STRIPE_KEY, Keyring, write_private
from sandbox.processes import ProcessError
from sandbox.seed import SeedError, seed_stripe, seed_writer, until_sold
from sandbox.shop import APPS
from sandbox.stack import RunningApp
from sandbox.toy.backstage import Part

READY_S: Final = 60.0
POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything is. `folder`: what outlives the containers; `public_stripe_url`: for a browser."""

    writer_url: str
    stripe_url: str
    folder: Path
    public_stripe_url: str = ""

    @property
    def keys(self) -> Path:
        """The keyring's file."""
        return self.folder / "keys.json"

    def stripe(self, session: aiohttp.ClientSession) -> Stripe:
        """The stand-in's API."""
        return Stripe(Endpoint(session, self.stripe_url, STRIPE_KEY))


@dataclass(frozen=True, slots=True)
class Containers:
    """What the toy app sees. It cannot kill containers: that is the engine's right."""

    apps: Mapping[str, RunningApp]
    stripe: Stripe
    stripe_url: str
    parts: Mapping[str, Part] = field(default_factory=dict)

    async def kill(self, *names: str) -> None:
        """Refuse."""
        raise ProcessError(f"{', '.join(names)}: use docker compose kill")

    async def restart(self, *names: str) -> None:
        """Refuse."""
        raise ProcessError(f"{', '.join(names)}: use docker compose start")


async def fill(session: aiohttp.ClientSession, places: Places, admin_key: str) -> None:
    """Sell what the two apps sell, and leave each sidecar its key in `folder`, as PROJECT.key."""
    admin, stripe = Endpoint(session, places.writer_url, admin_key), places.stripe(session)
    await _until_ready(admin)
    keyring = Keyring.load(places.keys)
    for app in APPS:
        prices = await seed_stripe(stripe, app)
        keyring = await seed_writer(admin, app, keyring)
        keyring.save(places.keys)
        write_private(places.folder / f"{app.project}.key", keyring.projects[app.project].encode())
        await until_sold(admin, app, prices)


async def containers(session: aiohttp.ClientSession, places: Places) -> Containers:
    """What was filled, as it is found again."""
    keyring, stripe = Keyring.load(places.keys), places.stripe(session)
    apps = {}
    for app in APPS:
        key = keyring.projects[app.project]
        apps[app.project] = RunningApp(
            app,
            await seed_stripe(stripe, app),
            key,
            Writer(Endpoint(session, places.writer_url, key), app.project),
            Sidecar(
                Endpoint(session, f"http://sandbox-{app.project}:7070"),
                Endpoint(session, f"http://sandbox-{app.project}:7071"),
                app.project,
            ),
        )
    return Containers(apps, stripe, places.public_stripe_url)


async def _until_ready(writer: Endpoint) -> None:
    """Wait until the writer has its database and schema; SeedError with what it said last."""
    said: CallError | None = None
    try:
        async with asyncio.timeout(READY_S):
            while True:
                try:
                    await writer.call("GET", "/ready")
                except CallError as error:
                    said = error
                    await asyncio.sleep(POLL_S)
                else:
                    return
    except TimeoutError as error:
        raise SeedError(f"the writer is not ready after {READY_S:g} s: {said}") from error
