"""Starts: from the process's first instruction until every question is answered, from each source; and memory."""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientSession

from benchmarks.population import PROJECT, Population
from benchmarks.snapshots import API_KEY, snapshots
from sandbox.redis import RedisConfig, RedisServer
from sandbox.service import ROOT

_PATIENCE: Final = 300.0
_NOWHERE: Final = "redis://127.0.0.1:1/0"
"""A port on which nobody listens."""


async def measure(users: int) -> dict[str, float]:
    """Seconds of a start from Redis, disk alone and the writer's snapshot, and megabytes, with so many users."""
    population = Population(users)
    figures: dict[str, float] = {"users": users}
    with tempfile.TemporaryDirectory(prefix="starts-") as folder:
        async with RedisServer(RedisConfig()) as redis:
            await asyncio.to_thread(population.write, redis.url)
            async with started(redis.url, {"SIDECAR_SNAPSHOT_DIR": folder}) as sidecar:
                figures |= sidecar.figures("redis")
            figures["saved_mb"] = (Path(folder) / f"{PROJECT}.copy").stat().st_size / 1e6
        async with started(_NOWHERE, {"SIDECAR_SNAPSHOT_DIR": folder}) as sidecar:
            figures |= sidecar.figures("disk")
        async with snapshots(population, Path(folder)) as writer_url:
            further = {"WRITER_URL": writer_url, "SIDECAR_API_KEY": API_KEY}
            async with started(_NOWHERE, further) as sidecar:
                figures |= sidecar.figures("writer")
    return figures


class Started:
    """A sidecar that answers."""

    def __init__(self, seconds: float, status: Mapping[str, Any], memory: Mapping[str, float]) -> None:
        self._seconds = seconds
        self._status = status
        self._memory = memory

    def figures(self, source: str) -> dict[str, float]:
        """What was measured of it; AssertionError where it started from something else, or not whole."""
        start = self._status["start"]
        if start["source"] != source or not self._status["complete"]:
            raise AssertionError(f"not a whole start from {source}: {self._status}")
        return {
            f"{source}_process_s": self._seconds,
            f"{source}_load_s": start["seconds"],
            f"{source}_memory_mb": self._memory["VmRSS"],
            f"{source}_most_memory_mb": self._memory["VmHWM"],
        }


@contextlib.asynccontextmanager
async def started(redis_url: str, more: Mapping[str, str]) -> AsyncIterator[Started]:
    """A sidecar process of its own, from its start until it is ready; it ends with the block, saving its copy."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SIDECAR_PROJECT": PROJECT,
        "REDIS_URL": redis_url,
        "SIDECAR_LISTEN": "127.0.0.1:0",
        "SIDECAR_MANAGEMENT_LISTEN": "127.0.0.1:0",
        "LOG_FORMAT": "text",
        **more,
    }
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sidecar", env=environment, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_PATIENCE), ClientSession() as session:
            address = await _address(process)
            while not await _ready(session, address):  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.01)
            seconds = time.monotonic() - began
            async with session.get(f"http://{address}/status") as response:
                status = (await response.json())["projects"][PROJECT]
        yield Started(seconds, status, _memory(process.pid))
    finally:
        process.terminate()
        await process.communicate()


async def _address(process: asyncio.subprocess.Process) -> str:
    if process.stdout is None:
        raise AssertionError("it has no output")
    async for line in process.stdout:
        _, found, address = line.decode().partition("management=")
        if found:
            return address.strip()
    raise AssertionError("the sidecar ended before it listened")


async def _ready(session: ClientSession, address: str) -> bool:
    with contextlib.suppress(ClientError):
        async with session.get(f"http://{address}/ready") as response:
            return response.ok
    return False


def _memory(pid: int) -> dict[str, float]:
    """Megabytes, by the names that Linux gives them."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Vm"))
    return {name.rstrip(":"): int(size) / 1e3 for name, size, *_ in lines}
