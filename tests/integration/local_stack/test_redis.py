"""The local Redis."""

import os
from pathlib import Path

import pytest
from redis.asyncio import Redis

from sandbox import local_server
from sandbox.identity import Identity
from sandbox.ports import free_port
from sandbox.processes import ProcessError
from sandbox.readiness import PortTakenError, StartError
from sandbox.redis import RedisConfig, RedisServer
from tests.support.redis import StartRedis


async def test_runs_with_every_identity_but_roots(identity: Identity) -> None:
    """Redis starts and answers as root gives its role away, and as an ordinary user."""
    async with RedisServer() as server, Redis.from_url(server.url) as client:
        assert await client.ping()
        mapped = Path(f"/proc/{server.pid}/uid_map").read_text(encoding="ascii").split()[:2]
        user = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii").split("Uid:")[1].split()[0]
    match identity:
        case Identity.SAME:
            assert user == str(os.geteuid()) != "0"
        case Identity.NAMESPACE:
            assert mapped == ["65534", "0"]
        case Identity.DROP:
            assert user == "65534"


@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_comes_back_empty_on_the_same_port(end: str, redis_server: StartRedis) -> None:
    """However it ended, the next start serves the same URL without any key."""
    server = await redis_server()
    url = server.url
    async with Redis.from_url(url) as client:
        await client.set("key", "value")
    await getattr(server, end)()
    assert not server.running
    await server.start()
    async with Redis.from_url(url) as client:
        assert await client.dbsize() == 0


async def test_listens_on_loopback_only_and_keeps_nothing(redis_server: StartRedis) -> None:
    """No other interface, no snapshot, no append-only file."""
    server = await redis_server()
    async with Redis.from_url(server.url) as client:
        settings = await client.config_get("*")
    assert (settings["bind"], settings["save"], settings["appendonly"]) == ("127.0.0.1", "", "no")


async def test_settings_reach_the_server(redis_server: StartRedis) -> None:
    """A line of redis.conf can be given."""
    server = await redis_server(settings={"maxmemory-policy": "volatile-lru"})
    async with Redis.from_url(server.url) as client:
        assert await client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}


async def test_start_that_fails_says_why(redis_server: StartRedis) -> None:
    """The error holds the end of the server's log."""
    with pytest.raises(StartError, match="no-such-setting"):
        await redis_server(settings={"no-such-setting": "1"})


async def test_named_port_that_is_taken_is_an_error(redis_server: StartRedis, taken_port: int) -> None:
    """A port that was asked for is never exchanged silently."""
    with pytest.raises(PortTakenError, match="already in use"):
        await redis_server(port=taken_port)


async def test_another_redis_on_the_port_is_not_taken_for_ours(redis_server: StartRedis) -> None:
    """A stranger that answers is told apart by its process id."""
    stranger = await redis_server()
    with pytest.raises(PortTakenError):
        await redis_server(port=stranger.port)


async def test_lost_race_for_a_port_tries_another(
    redis_server: StartRedis, taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A free port that somebody took in between is replaced."""
    ports = iter([taken_port, free_port()])
    monkeypatch.setattr(local_server, "free_port", lambda: next(ports))
    server = await redis_server()
    assert server.port != taken_port


async def test_wrong_order_of_calls_is_told() -> None:
    """Asking for the URL before a start is a clear error, closing twice is none."""
    server = RedisServer(RedisConfig())
    with pytest.raises(ProcessError, match="not started"):
        _ = server.url
    async with server:
        with pytest.raises(ProcessError, match="already running"):
            await server.start()
    await server.close()
