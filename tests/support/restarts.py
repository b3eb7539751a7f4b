"""Sidecars that end, or are killed, in mid test, and start again."""

import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientSession

from sandbox.ports import free_port
from sandbox.processes import ChildProcess, ProcessConfig
from sidecar.app import running
from tests.support.history import PROJECT
from tests.support.sidecars import Running, settings_of
from tests.support.waiting import eventually

ROOT: Final = Path(__file__).resolve().parents[2]
NOWHERE: Final = "redis://127.0.0.1:1/0"


@asynccontextmanager
async def sidecar(folder: Path, redis_url: str = NOWHERE, writer_url: str = "", **more: str) -> AsyncIterator[Running]:
    """One that ends with the block, as a restart needs."""
    settings = settings_of(redis_url, writer_url, SIDECAR_SNAPSHOT_DIR=str(folder), **more)
    async with ClientSession() as session, running(settings) as one:
        yield Running(one, session)


def process(log: Path, redis_url: str, **more: str) -> ChildProcess:
    """A sidecar of its own, to be killed; further settings by their names."""
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "SIDECAR_PROJECT": PROJECT,
        "REDIS_URL": redis_url,
        "SIDECAR_LISTEN": "127.0.0.1:0",
        "SIDECAR_MANAGEMENT_LISTEN": "127.0.0.1:0",
        "LOG_FORMAT": "text",
        **more,
    }
    argv = (sys.executable, "-m", "sidecar")
    return ChildProcess(ProcessConfig(name="sidecar", argv=argv, log_path=log, env=env, cwd=ROOT))


async def status(running: Running, project: str = PROJECT) -> Any:
    """What the management port tells of the project."""
    return json.loads((await running.manage("status"))[1])["projects"][project]


class Restarted:
    """A sidecar on one port, to be killed and started again."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        self.address, self._management = (f"127.0.0.1:{free_port()}" for _ in range(2))
        listen = {"SIDECAR_LISTEN": self.address, "SIDECAR_MANAGEMENT_LISTEN": self._management}
        self.process = process(folder / "sidecar.log", redis_url, **listen)

    async def is_ready(self) -> None:
        """Wait until everything was loaded."""
        await self._until("ready", lambda text: text == '{"status":"ready"}')

    async def has_a_listener(self) -> None:
        """Wait until a stream is open."""
        await self._until("metrics", lambda text: "\nsidecar_streams 1.0\n" in text)

    async def _until(self, path: str, wanted: Callable[[str], bool]) -> None:
        async def answered() -> bool:
            try:
                async with session.get(f"http://{self._management}/{path}") as answer:
                    return wanted(await answer.text())
            except ClientError:
                return False  # it only starts

        async with ClientSession() as session:
            await eventually(answered)


@asynccontextmanager
async def restarted(redis_url: str, folder: Path) -> AsyncIterator[Restarted]:
    """It runs, and ends with the block however often it was started."""
    sidecar = Restarted(redis_url, folder)
    async with sidecar.process:
        yield sidecar
