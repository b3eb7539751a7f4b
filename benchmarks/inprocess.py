"""A check inside a Python process beside what people do instead: redis-py's GET of the same document.

Measured in a process of its own, this module again, on one core; Redis has the other.
"""

import asyncio
import gc
import random
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, Final

import orjson
import redis
import uvloop
from redis.asyncio import ConnectionPool as AsyncPool
from redis.asyncio import Redis as AsyncRedis

from benchmarks.beating import beating
from benchmarks.figures import Chapter, Figure, Grid, Row
from benchmarks.population import PROJECT, Population
from benchmarks.processes import Cores
from common import keys
from common.identifiers import UserId
from sandbox.redis import RedisConfig, RedisServer
from sandbox.service import ROOT
from sidecar.embedded import Replica

USERS: Final = 100_000
ROUNDS: Final = 7
_CHECKS: Final = 50_000
_GETS: Final = 2_000
_TOGETHER: Final = (1, 16, 64)
_PATIENCE: Final = 120.0
_SAME: Final = "check, one user"
_ANY: Final = "check, users at random"
_GET: Final = "redis-py GET"
_READ: Final = "redis-py GET, document read as JSON"

Figures = dict[str, list[float]]


async def measure(users: int = USERS, rounds: int = ROUNDS) -> Chapter:
    """In a process on the server's core; Redis on the other."""
    cores, population = Cores.of_this_machine(), Population(users)
    with cores.loading():
        server = RedisServer(RedisConfig())
        await server.start()
    try:
        await asyncio.to_thread(population.write, server.url)
        async with beating(population, server.url):
            found = await _measured(server.url, users, rounds, cores)
    finally:
        await server.close()
    micros = {name: median(values) for name, values in found["micros"].items()}
    rates = {name: median(values) for name, values in found["per_second"].items()}
    return Chapter(
        "In-process check, and redis-py",
        f"{users:,} users of three features each; {rounds} rounds in turns, medians. {cores.told} (Here the server is "
        "Redis, and the asking process is what is measured.) redis-py on one connection; asyncio: as many tasks as "
        "connections.",
        [
            Figure("a check, one user", micros[_SAME], "µs", "inprocess.check"),
            Figure(
                "redis-py GET takes as long as so many checks", micros[_GET] / micros[_SAME], "", "inprocess.of_redis"
            ),
            Figure("… users at random", micros[_GET] / micros[_ANY]),
        ],
        [
            Grid("One after the other", ["µs", "a second"], [Row(name, (us, 1e6 / us)) for name, us in micros.items()]),
            Grid(
                "redis-py, asyncio",
                ["requests/s"],
                [Row(f"connections: {name}", (rate,)) for name, rate in rates.items()],
            ),
        ],
    )


async def _measured(url: str, users: int, rounds: int, cores: Cores) -> Any:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.inprocess", url, str(users), str(rounds)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        cores.pin(process.pid)
        async with asyncio.timeout(_PATIENCE):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return orjson.loads(output)


async def _run(url: str, users: int, rounds: int) -> dict[str, Figures]:
    micros: Figures = {}
    rates: Figures = {}
    dice = random.Random(1)  # noqa: S311 - repeatable, not secret
    client: Any = redis.Redis.from_url(url)
    async with Replica.open(PROJECT, redis_url=url, wait=_PATIENCE) as replica:
        gc.collect()
        gc.freeze()
        if not replica.check("user-0000001", "pro").allowed:
            raise AssertionError("the user is not allowed what he has")
        for _ in range(rounds):
            names = [f"user-{dice.randrange(users):07d}" for _ in range(_CHECKS)]
            found = {
                _SAME: _timed(lambda name: replica.check(name, "pro"), ["user-0000001"] * _CHECKS),
                _ANY: _timed(lambda name: replica.check(name, "pro"), names),
                _GET: _timed(client.get, [_key(name) for name in names[:_GETS]]),
                _READ: _timed(lambda key: orjson.loads(client.get(key)), [_key(name) for name in names[:_GETS]]),
            }
            for name, one in found.items():
                micros.setdefault(name, []).append(one)
            await asyncio.sleep(0.05)  # the replica's own turn
            for connections in _TOGETHER:
                rate = await _together(url, connections, [_key(name) for name in names[: 2 * _GETS]])
                rates.setdefault(str(connections), []).append(rate)
    client.close()
    return {"micros": micros, "per_second": rates}


def _timed(one: Callable[[str], object], many: Sequence[str]) -> float:
    """Microseconds for each."""
    began = time.perf_counter()
    for name in many:
        one(name)
    return (time.perf_counter() - began) / len(many) * 1e6


async def _together(url: str, connections: int, wanted: Sequence[str]) -> float:
    """Documents a second."""
    client: Any = AsyncRedis(connection_pool=AsyncPool.from_url(url, max_connections=connections))
    waiting = iter(wanted)

    async def drain() -> None:
        for key in waiting:
            await client.get(key)

    await asyncio.gather(*(client.get(wanted[0]) for _ in range(connections)))  # connect
    began = time.perf_counter()
    await asyncio.gather(*(drain() for _ in range(connections)))
    passed = time.perf_counter() - began
    await client.aclose(close_connection_pool=True)
    return len(wanted) / passed


def _key(name: str) -> str:
    return keys.document(UserId(name), PROJECT)


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(_run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
