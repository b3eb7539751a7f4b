"""Sidecars that end, or are killed, in mid test, and start again."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientSession

from sandbox.processes import ChildProcess, ProcessConfig
from sidecar.app import running
from sidecar.settings import Settings
from tests.support.history import PROJECT
from tests.support.sidecars import Running
from tests.support.writer_double import KEY

ROOT: Final = Path(__file__).resolve().parents[2]
NOWHERE: Final = "redis://127.0.0.1:1/0"


@asynccontextmanager
async def sidecar(folder: Path, redis_url: str = NOWHERE, writer_url: str = "", **more: str) -> AsyncIterator[Running]:
    """One that ends with the block, as a restart needs."""
    environment = {
        "SIDECAR_PROJECT": PROJECT,
        "SIDECAR_API_KEY": KEY,
        "REDIS_URL": redis_url,
        "WRITER_URL": writer_url,
        "SIDECAR_LISTEN": "127.0.0.1:0",
        "SIDECAR_MANAGEMENT_LISTEN": "127.0.0.1:0",
        "SIDECAR_SNAPSHOT_DIR": str(folder),
        **more,
    }
    async with ClientSession() as session, running(Settings.from_mapping(environment)) as one:
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
        **more,
    }
    argv = (sys.executable, "-m", "sidecar")
    return ChildProcess(ProcessConfig(name="sidecar", argv=argv, log_path=log, env=env, cwd=ROOT))


async def status(running: Running) -> Any:
    """What the management port tells of the project."""
    return json.loads((await running.manage("status"))[1])["projects"][PROJECT]
