"""`docs/recipes/events.md` in a real browser and in Node, through the nginx of its recipe."""

from pathlib import Path
from typing import Any

import pytest

from common.clock import SECOND, Instant, SystemClock
from sandbox.processes import ChildProcess, ProcessConfig
from tests.protocols.events.page import FOLDER, Page
from tests.support import openfeature_packages
from tests.support.history import START, History, feature, grant
from tests.support.nginx import logged_in, login, nginx_command
from tests.support.proxies import proxying
from tests.support.publisher import Publisher
from tests.support.restarts import restarted
from tests.support.tools import TOOLS, program

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
