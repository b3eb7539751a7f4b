"""A primary, a replica, and three sentinels that watch over them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

from sandbox.identity import hand_over, server_identity
from sandbox.redis import RedisConfig, RedisServer
from tests.support.redis_rights import let_in
from tests.support.waiting import eventually

MASTER: Final = "billing"
PASSWORD: Final = "password-of-redis"
_SENTINELS: Final = 3
PATIENCE_S: Final = 40.0


class Watched:
    """Servers and sentinels."""

    def __init__(self, servers: Sequence[RedisServer], sentinels: Sequence[RedisServer]) -> None:
        self.servers = servers
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        """All sentinels, the first of which may be down."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://:{PASSWORD}@{hosts}/{MASTER}"

    async def guard(self) -> str:
        """From now on sentinels answer a user of the documented right alone; the URL with it."""
        password = "password-of-the-sentinels"
        for sentinel in self.sentinels:
            async with Redis(port=sentinel.port, protocol=2) as client:
                name = await let_in(client, "billing-finder", "", password)
                await client.acl_setuser("default", enabled=False)
        return f"{self.url}?sentinel_username={name}&sentinel_password={password}"

    def client(self, number: int) -> Redis:
        """Somebody else's client of one server."""
        return Redis(port=self.servers[number].port, password=PASSWORD, protocol=2)

    async def cut_off_replica(self) -> None:
        """From now on the replica hears nothing more, and does not know that it lags."""
        async with self.client(1) as replica, self.client(0) as primary:
            await replica.config_set("masterauth", "not-the-password")
            await primary.client_kill_filter(_type="replica")

    async def fail_over(self) -> None:
        """Kill the primary, and wait until the replica has taken its place and all sentinels say so."""
        await self.servers[0].kill()
        await eventually(self._taken, PATIENCE_S)

    async def _taken(self) -> bool:
        ports = [await self._primary_port(sentinel) for sentinel in self.sentinels if sentinel.running]
        async with self.client(1) as successor:
            said: Any = await successor.info("replication")
        return said["role"] == "master" and set(ports) == {self.servers[1].port}

    async def ready(self) -> bool:
        """Whether every sentinel knows the replica and the other sentinels."""
        for sentinel in self.sentinels:
            async with Redis(port=sentinel.port, protocol=2) as client:
                client.response_callbacks.clear()
                said: Any = await client.execute_command("INFO", "sentinel")  # type: ignore[no-untyped-call]
            if b"slaves=1,sentinels=3" not in said:
                return False
        async with self.client(1) as replica:
            facts: Any = await replica.info("replication")
        return bool(facts.get("master_link_status") == "up")

    async def _primary_port(self, sentinel: RedisServer) -> int:
        async with Redis(port=sentinel.port, protocol=2) as client:
            said: Any = await client.execute_command(  # type: ignore[no-untyped-call]
                "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER
            )
        return int(said[1])


@asynccontextmanager
async def watched(directory: Path) -> AsyncIterator[Watched]:
    """All of them, ready."""
    async with AsyncExitStack() as stack:
        servers = [RedisServer(RedisConfig(log_path=directory / f"redis-{n}.log")) for n in range(2)]
        await asyncio.gather(*(stack.enter_async_context(server) for server in servers))
        for server in servers:
            async with Redis(port=server.port) as client:
                await client.config_set("masterauth", PASSWORD)
                await client.config_set("repl-diskless-sync-delay", "0")
                await client.config_set("requirepass", PASSWORD)
        found = Watched(servers, [])
        async with found.client(1) as replica:
            await replica.replicaof("127.0.0.1", str(servers[0].port))
        sentinels = [RedisServer(_sentinel(directory, number, servers[0].port)) for number in range(_SENTINELS)]
        await asyncio.gather(*(stack.enter_async_context(sentinel) for sentinel in sentinels))
        found.sentinels = sentinels
        await eventually(found.ready, PATIENCE_S)
        yield found


def _sentinel(directory: Path, number: int, primary: int) -> RedisConfig:
    file = directory / f"sentinel-{number}" / "sentinel.conf"
    file.parent.mkdir()
    file.write_text(
        f"sentinel monitor {MASTER} 127.0.0.1 {primary} 2\n"
        f"sentinel auth-pass {MASTER} {PASSWORD}\n"
        f"sentinel down-after-milliseconds {MASTER} 1000\n"
        f"sentinel failover-timeout {MASTER} 3000\n",
        encoding="utf-8",
    )
    for path in (file.parent, file):  # it writes down there what it learns
        hand_over(path, server_identity())
    return RedisConfig(log_path=directory / f"sentinel-{number}.log", arguments=(str(file), "--sentinel"))
