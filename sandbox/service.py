"""One process of the stack with an HTTP address: started until it answers, stopped, killed, started again."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp

from sandbox.processes import ChildProcess, ProcessConfig
from sandbox.readiness import until_ready

ROOT: Final = Path(__file__).resolve().parents[1]
STOP_GRACE_S: Final = 4.0
PROBE_TIMEOUT: Final = aiohttp.ClientTimeout(total=1.0)

# Nothing else is handed on: a developer's own DATABASE_URL or Stripe key must not reach the sandbox.
_INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "SYSTEMROOT")


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """A Python module to run as `python -m MODULE ARGUMENTS…`, ready once `ready_url` answers 200."""

    name: str
    module: str
    log_path: Path
    ready_url: str
    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    start_timeout_s: float = 30.0


class Service:
    """The process of one configuration; its port is part of that, so it comes back where it was."""

    def __init__(self, config: ServiceConfig) -> None:
        self.config = config
        self.process = ChildProcess(
            ProcessConfig(
                name=config.name,
                argv=module_command(config.module, *config.arguments),
                log_path=config.log_path,
                env=environment(config.env),
                cwd=ROOT,
                stop_grace_s=STOP_GRACE_S,
            )
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the process runs; it may not be ready yet."""
        return self.process.running

    async def start(self) -> None:
        """Start it and wait until it is ready; StartError with the log's end where it does not get there."""
        self.process.start()
        async with aiohttp.ClientSession(timeout=PROBE_TIMEOUT) as session:
            await until_ready(self.process, lambda: self._probe(session), self.config.start_timeout_s)

    async def stop(self) -> None:
        """Ask it to end, and end it after a grace."""
        await self.process.stop()

    async def kill(self) -> None:
        """SIGKILL, as a crash."""
        await self.process.kill()

    async def close(self) -> None:
        """Stop it for good."""
        await self.stop()

    async def _probe(self, session: aiohttp.ClientSession) -> str | None:
        try:
            async with session.get(self.config.ready_url) as answer:
                if answer.status == HTTPStatus.OK:
                    return None
                return f"{self.config.ready_url} answers {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"{self.config.ready_url}: {type(error).__name__}"


def module_command(module: str, *arguments: str) -> tuple[str, ...]:
    """The command line that runs a module with this Python."""
    return (sys.executable, "-m", module, *arguments)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a child: what every program needs, and `settings`."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1", **settings}
