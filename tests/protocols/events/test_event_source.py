"""`docs/recipes/events.md` in a real browser and in Node, through the nginx of its recipe."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession

from common.clock import SECOND, Instant, SystemClock
from sandbox.ports import free_port
from sandbox.processes import ChildProcess, ProcessConfig
from tests.protocols.events.page import FOLDER, Page
from tests.support import openfeature_packages
from tests.support.history import START, History, feature, grant
from tests.support.nginx import logged_in, login, nginx_command
from tests.support.proxies import proxying
from tests.support.publisher import Publisher
from tests.support.restarts import process
from tests.support.tools import TOOLS, program
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("nginx")

CONNECTING = 0  # EventSource.CONNECTING: it will come back
LONG_AGO = START - 60 * SECOND
BROWSER = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip


def chromium(url: str, folder: Path) -> ChildProcess:
    """A browser with the page open, and nothing remembered."""
    binary = str(TOOLS["chromium"].find())
    argv = (binary, *BROWSER, f"--user-data-dir={folder / 'profile'}", logged_in(f"{url}/login", "bob"))
    return ChildProcess(ProcessConfig("chromium", argv, folder / "chromium.log"))


def node(url: str, folder: Path) -> ChildProcess:
    """The page's script in Node."""
    modules = openfeature_packages.found()
    binary = program("node")()
    assert modules is not None
    assert binary is not None
    argv = (binary, str(FOLDER / "page.cjs"), f"{url}/page.js", login("bob")["Authorization"])
    return ChildProcess(ProcessConfig("node", argv, folder / "node.log", env={"NODE_PATH": modules}))


@pytest.fixture
def history() -> History:
    """Bob has a seat, and may not export."""
    history = History(features=(feature("export"), feature("seats")))
    history.change("bob", grant("seats", valid_from=LONG_AGO))
    return history


class Restarted:
    """A sidecar on one port, to be killed and started again."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        self.address, management = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self._metrics = f"http://{management}/metrics"
        listen = {"SIDECAR_LISTEN": self.address, "SIDECAR_MANAGEMENT_LISTEN": management}
        self.process = process(folder / "sidecar.log", redis_url, **listen)

    async def has_a_listener(self) -> None:
        """Wait until a stream is open."""

        async def listened() -> bool:
            try:
                async with session.get(self._metrics) as answer:
                    return "\nsidecar_streams 1.0\n" in await answer.text()
            except ClientError:
                return False  # it only starts

        async with ClientSession() as session:
            await eventually(listened)


@asynccontextmanager
async def restarted(redis_url: str, folder: Path) -> AsyncIterator[Restarted]:
    """It runs, and ends with the block however often it was started."""
    sidecar = Restarted(redis_url, folder)
    async with sidecar.process:
        yield sidecar


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(chromium, marks=pytest.mark.needs("chromium")),
        pytest.param(node, marks=pytest.mark.needs("openfeature-js")),
    ],
)
async def test_a_page_outlives_its_sidecar(
    redis_url: str, publisher: Publisher, history: History, heart: None, tmp_path: Path, start: Any
) -> None:
    """What holds comes first, then each change; after each of two kills only what was missed, and nothing twice."""
    async with restarted(redis_url, tmp_path) as sidecar, Page.served() as page:
        argv, port = nginx_command(sidecar.address, page.address, tmp_path)
        async with proxying("nginx", argv, tmp_path, port) as nginx, start(nginx.url, tmp_path):
            assert not (await page.next("shown"))["shown"]["export"]["allowed"]
            soon = Instant(SystemClock().now() + 3_600 * SECOND)
            await _commit(publisher, grant("export", valid_from=LONG_AGO, valid_to=soon))
            assert (await page.next("shown"))["shown"]["export"]["allowed"]
            assert await page.next("reminded") == {"reminded": "export"}
            await sidecar.process.kill()
            assert await page.next("lost") == {"lost": CONNECTING}
            await page.next("opened")  # nginx's empty stream, as there is no sidecar
            assert await page.next("lost") == {"lost": CONNECTING}
            sidecar.process.start()
            await sidecar.has_a_listener()
            await _commit(publisher, grant("seats", valid_from=LONG_AGO), grant("export", valid_from=LONG_AGO))
            told = (await page.next("shown"))["shown"]  # not what it knew: it said where it was
            assert (told["seats"]["allowed"], told["export"]["valid_to"]) == (True, None)
            await sidecar.process.kill()
            await _commit(publisher, grant("seats", valid_from=LONG_AGO))
            sidecar.process.start()
            told = (await page.next("shown"))["shown"]
            assert (told["seats"]["allowed"], told["export"]["allowed"]) == (True, False)


async def _commit(publisher: Publisher, *grants: Any) -> None:
    publisher.history.change("bob", *grants)
    await publisher.relay()
