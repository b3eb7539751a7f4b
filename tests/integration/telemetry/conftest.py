"""One observed pair of processes for all of these tests."""

import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from sandbox.postgres import PostgresServer
from sandbox.redis import RedisServer
from tests.support.observed import Observed, observed
from tests.support.postgres import create_database, drop_database

_DATABASE = "observed"


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="pair")
async def running_pair(
    shared_postgres: PostgresServer,
    template_database: str,
    shared_redis: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Observed]:
    """A writer and a sidecar that reach Postgres and Redis by passwords."""
    create_database(shared_postgres, _DATABASE, template=template_database)
    password = secrets.token_hex(16)
    async with Redis.from_url(shared_redis.url) as client:
        await client.flushall()
        rules = ("on", f">{password}", "~*", "&*", "+@all")
        await client.execute_command("ACL", "SETUSER", "observed", *rules)  # type: ignore[no-untyped-call]
        try:
            redis_url = f"redis://observed:{password}@127.0.0.1:{shared_redis.port}/0"
            database_url = shared_postgres.url_of(_DATABASE)
            assert urlsplit(database_url).password
            async with observed(database_url, redis_url, tmp_path_factory.mktemp("observed")) as pair:
                yield pair
        finally:
            await client.execute_command("ACL", "DELUSER", "observed")  # type: ignore[no-untyped-call]
    drop_database(shared_postgres, _DATABASE)
