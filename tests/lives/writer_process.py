"""Real writer processes that start in a moment: forked from a server that has the writer's modules loaded already."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Final

import aiohttp

from common.process import serve
from sandbox.ports import free_port
from tests.lives import mutations
from tests.support.waiting import eventually
from writer.app import running
from writer.settings import Settings, read

_PR_SET_PDEATHSIG: Final = 1
_STARTS_S: Final = 90
_MAX_RPS: Final = 400
"""More than the setting allows: the stand-in has no limit to respect, and three hundred lives should not queue."""


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def run(environment: Mapping[str, str], log: str, mutation: str | None) -> None:
    """The process: a whole writer, as `python -m writer` runs it."""
    if sys.platform == "linux":  # it must not outlive the server it was forked from, which does not outlive us
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.environ.clear()
    os.environ.update(environment)
    if mutation is not None:
        mutations.MUTATIONS[mutation]()
    sys.exit(serve("writer", _read, running))


def _read(environment: Mapping[str, str]) -> Settings:
    settings = read(environment)
    return replace(settings, stripe=replace(settings.stripe, max_rps=_MAX_RPS))


class WriterProcess:
    """One writer on a port of its own, to which it comes back after a kill."""

    def __init__(self, name: str, environment: Mapping[str, str], logs: Path, mutation: str | None = None) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = logs / f"{name}.log"
        self._environment = {**environment, "WRITER_LISTEN": f"127.0.0.1:{port}", "WRITER_INSTANCE": name}
        self._mutation = mutation
        self._process: ForkServerProcess | None = None

    def start(self) -> None:
        """Start it; `ready` tells when it answers."""
        arguments = (self._environment, str(self.log), self._mutation)
        self._process = _context().Process(target=run, args=arguments, daemon=True)
        self._process.start()

    async def ready(self, http: aiohttp.ClientSession) -> None:
        """Wait until it serves; AssertionError tells what it says instead."""
        said = "nothing"

        async def serves() -> bool:
            nonlocal said
            try:
                async with http.get(f"{self.url}/ready") as response:
                    said = f"{response.status} {await response.text()}"
                    return response.ok
            except (aiohttp.ClientError, TimeoutError) as error:
                said = repr(error)
                return False

        try:
            await eventually(serves, _STARTS_S)
        except TimeoutError as error:
            alive = self._process is not None and self._process.is_alive()
            raise AssertionError(f"{self.url} is never ready: alive={alive}, it said {said}; see {self.log}") from error

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._process = None
