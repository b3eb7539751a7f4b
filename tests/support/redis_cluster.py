"""Six real nodes of a Redis Cluster: three primaries, each with a replica."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis, RedisCluster
from redis.crc import key_slot
from redis.exceptions import RedisError

from sandbox.ports import free_port
from sandbox.redis import RedisConfig, RedisServer
from tests.support.redis_rights import let_in
from tests.support.waiting import eventually

PRIMARIES: Final = 3
PASSWORD: Final = "password-of-the-cluster"
_SLOTS: Final = 16_384
PATIENCE_S: Final = 40.0
_NODE_TIMEOUT_MS: Final = 1_000


class SixNodes:
    """The first three servers begin as primaries, each of the others as the replica of one."""

    def __init__(self, servers: Sequence[RedisServer]) -> None:
        self.servers = servers

    @property
    def url(self) -> str:
        """As the default user."""
        return self.url_of("", PASSWORD)

    def url_of(self, user: str, password: str) -> str:
        """Two of the nodes are named; the others are found."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.servers[1:3])
        return f"redis+cluster://{user}:{password}@{hosts}"

    async def let_in(self, user: str, project: str, password: str) -> str:
        """The URL for a user with the documented rights, made on every node."""
        name = ""
        for server in self.servers:
            async with Redis(port=server.port, password=PASSWORD, protocol=2) as client:
                name = await let_in(client, user, project, password)
        return self.url_of(name, password)

    async def empty(self) -> None:
        """Forget every key, on every primary."""
        for number in range(PRIMARIES):
            await self.ask(number, "FLUSHALL")

    def reader(self) -> Any:
        """Somebody else's client of the whole cluster."""
        return RedisCluster(host="127.0.0.1", port=self.servers[3].port, password=PASSWORD, protocol=2)

    def primary_of(self, key: str) -> int:
        """Which of the first three servers held a key in the beginning."""
        return key_slot(key.encode()) * PRIMARIES // _SLOTS

    async def ask(self, number: int, *command: Any) -> Any:
        """Send one command to one server; its reply as it came."""
        async with Redis(port=self.servers[number].port, password=PASSWORD, protocol=2) as client:
            client.response_callbacks.clear()
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def cut_off_replica(self, number: int) -> None:
        """From now on the replica of primary `number` hears nothing more from it, and does not know that it lags."""
        await self.ask(number + PRIMARIES, "CONFIG", "SET", "masterauth", "not-the-password")
        await self.ask(number, "CLIENT", "KILL", "TYPE", "replica")

    async def fail_over(self, number: int) -> None:
        """Kill a primary, and wait until its replica has taken its place in the eyes of all others."""
        await self.servers[number].kill()
        successor = number + PRIMARIES

        async def taken() -> bool:
            others = [n for n, server in enumerate(self.servers) if server.running]
            roles = [await self._knows_as_primary(n, successor) for n in others]
            return all(roles)

        await eventually(taken, PATIENCE_S)

    async def _knows_as_primary(self, asked: int, successor: int) -> bool:
        slots = await self.ask(asked, "CLUSTER", "SLOTS")
        primaries = {int(port) for _, _, (_, port, *_), *_ in slots}
        return self.servers[successor].port in primaries and len(primaries) == PRIMARIES


@asynccontextmanager
async def six_nodes(log_directory: Path) -> AsyncIterator[SixNodes]:
    """A cluster that is ready."""
    async with AsyncExitStack() as stack:
        servers = [RedisServer(_config(log_directory, number)) for number in range(2 * PRIMARIES)]
        await asyncio.gather(*(stack.enter_async_context(server) for server in servers))
        cluster = SixNodes(servers)
        await _protect(cluster)
        await _join(cluster)
        yield cluster


def _config(log_directory: Path, number: int) -> RedisConfig:
    settings = {
        "cluster-enabled": "yes",
        "cluster-port": str(free_port()),
        "cluster-node-timeout": str(_NODE_TIMEOUT_MS),
        "cluster-replica-validity-factor": "0",  # a replica that was cut off may be elected too
        "repl-diskless-sync-delay": "0",
    }
    return RedisConfig(log_path=log_directory / f"node-{number}.log", settings=settings)


async def _protect(cluster: SixNodes) -> None:
    for server in cluster.servers:
        async with Redis(port=server.port, protocol=2) as client:
            await client.config_set("masterauth", PASSWORD)
            await client.config_set("requirepass", PASSWORD)


async def _join(cluster: SixNodes) -> None:
    for number in range(PRIMARIES):
        first, after = (-(-_SLOTS * n // PRIMARIES) for n in (number, number + 1))
        await cluster.ask(number, "CLUSTER", "ADDSLOTSRANGE", first, after - 1)
    for number, server in enumerate(cluster.servers):
        await cluster.ask(number, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        if number:
            bus = server.config.settings["cluster-port"]
            await cluster.ask(0, "CLUSTER", "MEET", "127.0.0.1", server.port, bus)
    await eventually(lambda: _all(cluster, "cluster_state:ok", "cluster_known_nodes:6"), PATIENCE_S)
    for number in range(PRIMARIES):
        primary = (await cluster.ask(number, "CLUSTER", "MYID")).decode()
        await eventually(lambda n=number, p=primary: _replicates(cluster, n + PRIMARIES, p))  # type: ignore[misc]
    await eventually(lambda: _replicas_follow(cluster), PATIENCE_S)


async def _all(cluster: SixNodes, *facts: str) -> bool:
    said = [(await cluster.ask(n, "CLUSTER", "INFO")).decode() for n in range(len(cluster.servers))]
    return all(fact in text for text in said for fact in facts)


async def _replicates(cluster: SixNodes, number: int, primary: str) -> bool:
    try:
        await cluster.ask(number, "CLUSTER", "REPLICATE", primary)
    except RedisError:
        return False  # it has not heard of the primary yet
    return True


async def _replicas_follow(cluster: SixNodes) -> bool:
    numbers = range(PRIMARIES, 2 * PRIMARIES)
    said = [(await cluster.ask(n, "INFO", "replication")).decode() for n in numbers]
    known = [await cluster.ask(n, "CLUSTER", "SLOTS") for n in range(2 * PRIMARIES)]
    return all("master_link_status:up" in text for text in said) and all(
        len(one) == PRIMARIES and all(len(row) == 4 for row in one) for one in known
    )
