"""What fills the sandbox of docker-compose.yml, and its toy app, with processes in the containers' place."""

import stat
from pathlib import Path

import aiohttp

from sandbox.clients import Endpoint
from sandbox.containers.backstage import Places, containers, fill
from sandbox.keyring import Keyring
from sandbox.ports import free_port
from sandbox.shop import APPS
from sandbox.stack import Stack, StackConfig
from sandbox.toy.server import Toy

STRIPE = "http://stripe.localhost:12111"


async def test_the_sandbox_is_filled_once_and_shown(tmp_path: Path) -> None:
    """Each sidecar finds its key; filling again changes nothing; the toy app leads to addresses that a browser has."""
    async with Stack(StackConfig(tmp_path / "logs")) as stack, aiohttp.ClientSession() as session:
        places = Places(stack.writer_url, stack.stripe_url, tmp_path / "kept", STRIPE)
        await fill(session, places, stack.keyring.admin)
        first = Keyring.load(places.keys)
        await fill(session, places, stack.keyring.admin)
        assert Keyring.load(places.keys).projects == first.projects
        for app in APPS:
            path = places.folder / f"{app.project}.key"
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            catalogue = Endpoint(session, stack.writer_url, path.read_text(encoding="ascii"))
            assert await catalogue.call("GET", "/api/v1/catalog")
        shown = await containers(session, places)
        assert {name: app.prices for name, app in shown.apps.items()} == {
            name: app.prices for name, app in stack.apps.items()
        }
        await _toy(session, Toy(shown, port := free_port(None), public_url=f"http://127.0.0.1:{port}/"))


async def _toy(session: aiohttp.ClientSession, toy: Toy) -> None:
    async with toy.running():
        async with session.get(toy.url) as page:
            assert f"form-action 'self' {STRIPE}" in page.headers["Content-Security-Policy"]
        form = {"user": "ada", "what": "subscription"}
        async with session.post(f"{toy.url}pay", data=form, allow_redirects=False) as answer:
            assert "/c/pay/cs_test_" in answer.headers["Location"]
        async with session.post(f"{toy.url}parts/redis/kill", data={"user": "ada"}, allow_redirects=False) as answer:
            assert answer.status == 303
