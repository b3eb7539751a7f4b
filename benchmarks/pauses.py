"""Pauses: how long a sidecar's loop is held up while its copy is large and changes pour in.

The sidecar runs in a process of its own, this module again, with a task in its loop that wants to run each millisecond.
How late it comes is what a request would have waited. On a busy machine it also waits for a core, which is nobody's
fault in here; so what the loop's thread itself worked meanwhile is told beside it.
"""

import asyncio
import gc
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import uvloop
from redis import ConnectionPool

from benchmarks.population import PROJECT, Population, command
from common import document as documents
from common import keys, wire
from sandbox.redis import RedisConfig, RedisServer
from sandbox.service import ROOT
from sidecar.app import running
from sidecar.settings import Settings

PER_SECOND: Final = 1_000
SECONDS: Final = 30.0
_TICK: Final = 0.001
_CAUGHT_UP_SECONDS: Final = 30.0
_LOG_LENGTH: Final = "100000"


async def measure(users: int, seconds: float = SECONDS) -> dict[str, float]:
    """The longest pauses in milliseconds with so many users, while a thousand of them change each second."""
    population = Population(users)
    async with RedisServer(RedisConfig()) as redis:
        await asyncio.to_thread(population.write, redis.url)
        with tempfile.TemporaryDirectory(prefix="pauses-") as folder:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "benchmarks.pauses", redis.url, folder),
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            try:
                return await _pour(process, population, redis.url, seconds)
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()


async def _pour(
    process: asyncio.subprocess.Process, population: Population, url: str, seconds: float
) -> dict[str, float]:
    if process.stdin is None or process.stdout is None:
        raise AssertionError("it has no pipes")
    loaded = orjson.loads(await process.stdout.readline())
    poured = await asyncio.to_thread(pour, population, url, seconds)
    process.stdin.write(b"%d\n" % population.revision)
    flowed = orjson.loads(await process.stdout.readline())
    return {
        "users": population.users,
        "changes_a_second": poured / seconds,
        **{f"loading_{name}": value for name, value in loaded.items()},
        **{f"flowing_{name}": value for name, value in flowed.items()},
    }


def pour(population: Population, url: str, seconds: float) -> int:
    """Change a thousand users a second, as a relay does; how many it were."""
    connection: Any = ConnectionPool.from_url(url, protocol=2).get_connection()
    connection.send_packed_command([command("CLIENT", "REPLY", "OFF")])
    rng = random.Random(1)  # noqa: S311 - who changes
    began, done = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * PER_SECOND) - done
        for _ in range(due):
            connection.send_packed_command([b"".join(_relayed(population, rng.randrange(population.users)))])
        if due and done // PER_SECOND != (done + due) // PER_SECOND:
            connection.send_packed_command([b"".join(_beat(population))])
        done += due
        time.sleep(_TICK)
    connection.send_packed_command([b"".join(_beat(population))])
    connection.disconnect()
    return done


def _relayed(population: Population, number: int) -> Iterator[bytes]:
    change = population.change(number)
    document, message = change.document, wire.encode(change)
    yield command("SET", keys.document(document.user_id, PROJECT), documents.encode(document))
    log, entry = keys.changes(document.epoch, PROJECT), f"{document.revision}-0"
    yield command("XADD", log, "MAXLEN", "~", _LOG_LENGTH, entry, keys.STREAM_FIELD, message)
    yield command("PUBLISH", keys.channel(PROJECT), message)


def _beat(population: Population) -> Iterator[bytes]:
    yield command("HSET", keys.meta(PROJECT), *population.meta())
    yield command("PUBLISH", keys.channel(PROJECT), wire.encode(population.heartbeat()))


@dataclass(slots=True)
class Probe:
    """Wants to run each millisecond, and notes how late it comes."""

    late: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Forever."""
        while True:
            at, worked = time.monotonic(), time.thread_time()
            await asyncio.sleep(_TICK)
            self.late.append(time.monotonic() - at - _TICK)
            self.worked.append(time.thread_time() - worked)

    def figures(self) -> dict[str, float]:
        """Milliseconds; what was noted is forgotten."""
        late, worked = sorted(self.late), sorted(self.worked)
        self.late, self.worked = [], []
        return {
            "longest_ms": late[-1] * 1000,
            "p999_ms": late[len(late) * 999 // 1000] * 1000,
            "longest_worked_ms": worked[-1] * 1000,
            "worked_p999_ms": worked[len(worked) * 999 // 1000] * 1000,
        }


async def _sidecar(url: str, folder: str) -> None:
    settings = {
        "SIDECAR_PROJECT": PROJECT,
        "REDIS_URL": url,
        "SIDECAR_LISTEN": "127.0.0.1:0",
        "SIDECAR_MANAGEMENT_LISTEN": "127.0.0.1:0",
        "SIDECAR_SNAPSHOT_DIR": folder,
        "SIDECAR_SNAPSHOT_EVERY": "10s",  # saving is part of it
    }
    probe = Probe()
    async with running(Settings.from_mapping(settings)) as sidecar:
        (project,) = sidecar.projects.values()
        task = asyncio.create_task(probe.run())
        while not project.replica.synced:  # noqa: ASYNC110 - a state that nobody signals
            await asyncio.sleep(0.01)
        _tell({**probe.figures(), "seconds": project.started.seconds if project.started else 0.0})
        wanted = int(await _told())
        async with asyncio.timeout(_CAUGHT_UP_SECONDS):
            while project.position is None or project.position.revision < wanted:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        copy = project.replica.copy
        if copy is None or not copy.complete:
            raise AssertionError("the copy did not keep in step")
        saved = project.on_disk is not None and project.on_disk.position is not None
        _tell({**probe.figures(), "saved": float(saved)})
        task.cancel()


async def _told() -> bytes:
    """A line of stdin, read aside: the default executor belongs to the sidecar."""
    loop, line = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    read = sys.stdin.buffer.readline
    threading.Thread(target=lambda: loop.call_soon_threadsafe(line.set_result, read()), daemon=True).start()
    found: bytes = await line
    return found


def _tell(figures: dict[str, float]) -> None:
    sys.stdout.buffer.write(orjson.dumps(figures, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    gc.collect()
    gc.freeze()  # as the sidecar's process does
    uvloop.run(_sidecar(sys.argv[1], sys.argv[2]))
