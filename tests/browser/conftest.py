"""A site with a console, and one real browser for all of its tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, StorageState, async_playwright

from sandbox.postgres import PostgresServer
from sandbox.redis import RedisConfig, RedisServer
from tests.browser.tab import Tab, opened_tab
from tests.support.planted_faults import Site
from tests.support.postgres import create_database, drop_database
from tests.support.site import running_site
from tests.support.tools import TOOLS

_DATABASE = "console_in_a_browser"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(
    shared_postgres: PostgresServer, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """Stripe's stand-in, a writer and a sidecar, for the whole folder; each test has users of its own."""
    logs = tmp_path_factory.mktemp("site")
    create_database(shared_postgres, _DATABASE, template=template_database)
    # Not the shared Redis, which is emptied for other tests.
    async with (
        RedisServer(RedisConfig(log_path=logs / "redis.log")) as redis,
        running_site(shared_postgres.url_of(_DATABASE), redis.url, logs) as running,
    ):
        yield running.site
    drop_database(shared_postgres, _DATABASE)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The browser."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=TOOLS["chromium"].find(), args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cookies(site: Site, chromium: Browser) -> StorageState:
    """What the browser keeps once somebody has signed in."""
    async with opened_tab(chromium, site.admin) as tab:
        await tab.sign_in()
        return await tab.page.context.storage_state()


@pytest_asyncio.fixture(loop_scope="session")
async def tab(site: Site, chromium: Browser, cookies: StorageState) -> AsyncIterator[Tab]:
    """A tab, signed in. Whatever it complained of fails the test: a broken script, a breach of the security policy."""
    async with opened_tab(chromium, site.admin, storage_state=cookies) as tab:
        await tab.open("")
        yield tab
        assert tab.complaints == []
