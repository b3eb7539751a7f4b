"""The ground of a stage: real servers, a fresh database, and how a writer is told of them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from sandbox.postgres import PostgresServer
from sandbox.service import environment
from tests.lives.courier import SECRET
from tests.lives.writer_api import ADMIN_KEY
from tests.support.postgres import drop_database


@dataclass(frozen=True, slots=True)
class Ground:
    """The servers that all stages of a run share. `template` is a database at the newest migration."""

    postgres: PostgresServer
    template: str
    redis_url: str
    logs: Path

    @asynccontextmanager
    async def database(self, name: str) -> AsyncIterator[str]:
        """The URL of a fresh database."""
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            made = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(made.format(sql.Identifier(name), sql.Identifier(self.template)))
        try:
            yield self.postgres.url_of(name)
        finally:
            drop_database(self.postgres, name)

    def writer(self, database_url: str, stripe_url: str, settings: Mapping[str, str]) -> dict[str, str]:
        """The environment of a writer there, with `settings` of its own."""
        return environment(
            {
                "DATABASE_URL": database_url,
                "REDIS_URL": self.redis_url,
                "STRIPE_SECRET_KEY": "sk_test_sandbox",
                "STRIPE_WEBHOOK_SECRET": SECRET,
                "STRIPE_API_BASE": stripe_url,
                "STRIPE_MAX_RPS": "100",
                "ADMIN_API_KEY": ADMIN_KEY,
                "EVENT_CLAIM": "1s",
                "STRIPE_SWEEP_EVERY": "1d",  # the stage sweeps when the town's time asks for it
                "LOG_LEVEL": "WARNING",
                **settings,
            }
        )
