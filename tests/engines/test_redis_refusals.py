"""A Redis that cannot be used is told with the setting's name and without its value; answers stand meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from tests.support.following import until_followed
from tests.support.history import grant
from tests.support.ledger import Ledger
from tests.support.redis import StartRedis
from tests.support.relaying import StartRelay
from tests.support.sidecars import StartSidecar, until
from tests.support.writer_routes import serving

_BOTH = {"writer.supervision", "sidecar.redis_feed"}
"""Who tells it: the writer's relay, and the sidecar's subscription."""


async def test_a_wrong_password_is_told_by_both_and_the_sidecar_follows_the_writer(
    redis_server: StartRedis,
    ledger: Ledger,
    start_relay: StartRelay,
    start_sidecar: StartSidecar,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing of the URL is shown."""
    server = await redis_server()
    async with Redis(port=server.port) as client:
        await client.config_set("requirepass", "right")
    url = f"redis://:hidden@127.0.0.1:{server.port}"
    relaying = await start_relay(url=url)
    await ledger.edit("pro")
    await ledger.change("ada", grant())
    async with serving(ledger, relaying) as writer:
        await until_followed(ledger, await start_sidecar(url, writer))
        refused = "REDIS_URL: the server refuses the user or the password that it names"
        await until(lambda: {r.name for r in caplog.records if refused in r.getMessage()} >= _BOTH)
    assert "hidden" not in caplog.text


async def test_a_read_only_replica_is_told_to_the_writer(
    redis_server: StartRedis, ledger: Ledger, start_relay: StartRelay, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where it became one while the writer was connected; as a primary again it is used again."""
    server = await redis_server()
    relaying = await start_relay(url=server.url)
    await ledger.edit("pro")
    async with Redis.from_url(server.url) as client:
        outage = relaying.station._equipment.redis_outage
        await client.replicaof("127.0.0.1", "1")
        await until(lambda: "REDIS_URL: it leads to a read-only replica; name the primary" in caplog.text)
        await client.replicaof("NO", "ONE")
        await until(lambda: not outage.lasts)


@pytest.mark.parametrize(
    ("hello", "told"),
    [
        (b"*4\r\n$7\r\nversion\r\n$5\r\n6.2.1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n", "a server of version 6; 7"),
        (b"-ERR unknown command 'HELLO'\r\n", "a server of version 5 or older; 7"),
        (b"*4\r\n$7\r\nversion\r\n$5\r\n7.2.1\r\n$4\r\nmode\r\n$8\r\nsentinel\r\n", "a sentinel; write it as"),
    ],
)  # fmt: skip
async def test_a_server_of_another_kind_is_told(
    hello: bytes, told: str, ledger: Ledger, start_relay: StartRelay, start_sidecar: StartSidecar,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Too old, or a sentinel in place of Redis: both processes say so."""
    async with _server_that_says(hello) as url:
        await start_relay(url=url)
        await start_sidecar(url)
        await until(
            lambda: {r.name for r in caplog.records if f"REDIS_URL: it leads to {told}" in r.getMessage()} >= _BOTH
        )


@pytest.mark.parametrize(
    ("settings", "scheme", "told"),
    [
        ({}, "redis+cluster", "the server is not part of a cluster; write it as redis://"),
        ({"cluster-enabled": "yes"}, "redis", "it leads to a node of a cluster; write it as redis+cluster://"),
    ],
)
async def test_one_server_and_a_cluster_are_told_apart(
    settings: dict[str, str], scheme: str, told: str, redis_server: StartRedis, ledger: Ledger,
    start_relay: StartRelay, start_sidecar: StartSidecar, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """The scheme of the other is named, by both processes."""
    server = await redis_server(settings=settings)
    url = f"{scheme}://127.0.0.1:{server.port}"
    await start_relay(url=url)
    await start_sidecar(url)
    await until(lambda: {record.name for record in caplog.records if told in record.getMessage()} >= _BOTH)


@asynccontextmanager
async def _server_that_says(hello: bytes) -> AsyncIterator[str]:
    """No old Redis is at hand: one that answers HELLO, and OK to everything else."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:size])
            writer.write(hello if words[0] == b"HELLO" else b"+OK\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
