"""The fixtures that other tests stand on."""

import asyncpg
import pytest
from redis.asyncio import Redis

from tests.support.postgres import StartPostgres
from tests.support.redis import StartRedis


@pytest.mark.parametrize("turn", [1, 2])
async def test_database_is_fresh_for_each_test(turn: int, database_url: str) -> None:
    """A table that one test makes does not exist in the next."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("CREATE TABLE only_mine ()")
    finally:
        await connection.close()


@pytest.mark.parametrize("turn", [1, 2])
async def test_redis_is_empty_for_each_test(turn: int, redis_url: str) -> None:
    """A key that one test sets does not exist in the next."""
    async with Redis.from_url(redis_url) as client:
        assert await client.dbsize() == 0
        await client.set("only", "mine")


async def test_factories_give_servers_of_their_own(
    postgres_server: StartPostgres, redis_server: StartRedis, redis_url: str
) -> None:
    """Two servers of one kind listen on two ports."""
    redis_one, redis_two = await redis_server(), await redis_server()
    postgres = await postgres_server(max_connections=20)
    assert len({redis_one.url, redis_two.url, redis_url}) == 3
    connection = await asyncpg.connect(postgres.url)
    try:
        assert await connection.fetchval("SHOW max_connections") == "20"
    finally:
        await connection.close()
