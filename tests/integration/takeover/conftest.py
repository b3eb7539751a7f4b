"""A Stripe account that existed before this service, and the commands that take it over."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support.stripe_standin import KEY, SECRET, Shop, opened
from writer.cli import main


@dataclass(frozen=True, slots=True)
class Takeover:
    """The account, a migrated database, and `billing`."""

    shop: Shop
    database_url: str

    async def run(self, *arguments: str, stdin: str | None = None, **environment: str) -> Result:
        """A command's result, whatever it is."""
        settings = {
            "DATABASE_URL": self.database_url,
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_API_BASE": self.shop.standin.url,
            "STRIPE_MAX_RPS": "100",
            **environment,
        }
        return await asyncio.to_thread(lambda: CliRunner().invoke(main, list(arguments), env=settings, input=stdin))

    async def json(self, *arguments: str, stdin: str | None = None, exit_code: int = 0, **environment: str) -> Any:
        """The answer of a command that must end so."""
        result = await self.run(*arguments, "--json", stdin=stdin, **environment)
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout)


@asynccontextmanager
async def taking_over(database_url: str) -> AsyncIterator[Takeover]:
    """A stand-in whose receiver plays the writer's webhook."""
    async with opened() as shop:
        yield Takeover(shop, database_url)


@pytest.fixture
async def takeover(database_url: str) -> AsyncIterator[Takeover]:
    """The account, with nothing in it."""
    async with taking_over(database_url) as made:
        yield made
