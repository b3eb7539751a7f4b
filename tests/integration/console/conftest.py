"""A console, signed in to."""

from collections.abc import AsyncIterator

import pytest_asyncio

from sandbox.postgres import PostgresServer
from tests.support.console import Browser, console_on
from tests.support.postgres import create_database, drop_database

_DATABASE = "console_pages"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def console(shared_postgres: PostgresServer, template_database: str) -> AsyncIterator[Browser]:
    """One for the whole folder, on a database with the project `shop`; each test has users of its own."""
    create_database(shared_postgres, _DATABASE, template=template_database)
    async with console_on(shared_postgres.url_of(_DATABASE)) as opened:
        yield opened
    drop_database(shared_postgres, _DATABASE)


@pytest_asyncio.fixture(loop_scope="session")
async def browser(console: Browser) -> Browser:
    """The same, newly signed in to."""
    console.client.session.cookie_jar.clear()
    await console.sign_in()
    return console
