"""A real Redis-protocol server on a loopback port. It keeps nothing on disk: Redis is a cache here."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sandbox.binaries import find_redis
from sandbox.identity import server_identity
from sandbox.local_server import LocalServer
from sandbox.processes import ChildProcess, ProcessConfig
from sandbox.readiness import until_ready

PROBE_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class RedisConfig:
    """How to run it. `port` None: a free one; `log_path` None: in a directory that goes with the server.

    `program` None: whichever is found.

    `settings` are lines of redis.conf, such as {"maxmemory": "10mb"}; `arguments` stand before them on the command
    line, such as a file of further lines.
    """

    port: int | None = None
    log_path: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    program: Path | None = None
    start_timeout_s: float = 20.0


class RedisServer(LocalServer):
    """One server; every start is empty."""

    def __init__(self, config: RedisConfig | None = None) -> None:
        self.config = config or RedisConfig()
        super().__init__("redis", self.config.port)

    @property
    def url(self) -> str:
        """`redis://127.0.0.1:PORT/0`."""
        return f"redis://127.0.0.1:{self.port}/0"

    async def _prepare(self) -> None:
        self._own_directory()

    async def _start_on(self, port: int) -> None:
        directory = self._own_directory()
        settings = {
            "bind": "127.0.0.1",
            "port": str(port),
            "save": "",
            "appendonly": "no",
            "dir": str(directory),
            "daemonize": "no",
            **self.config.settings,
        }
        argv = [str(self.config.program or find_redis()), *self.config.arguments]
        for name, value in settings.items():
            argv += [f"--{name}", value]
        log_path = self.config.log_path or directory / "redis.log"
        self._process = ChildProcess(
            ProcessConfig(name="redis", argv=tuple(argv), log_path=log_path, identity=server_identity())
        )
        self._process.start()
        await until_ready(self._process, lambda: self._probe(port), self.config.start_timeout_s)

    async def _probe(self, port: int) -> str | None:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                answer = await _info(port)
        except (OSError, EOFError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"
        # A stranger on the port may answer before ours has found it taken.
        return None if f"process_id:{self.pid}" in answer else "another server answers on the port"


async def _info(port: int) -> list[str]:
    """Ask for INFO on a bare connection.

    On Python 3.11 redis-py sends through asyncio.wait_for, which can swallow the cancellation that ends the waiting.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"INFO server\r\n")
        head = await reader.readline()
        if not head.startswith(b"$"):  # such as "-LOADING" while it comes up
            return []
        return (await reader.readexactly(int(head[1:]))).decode().splitlines()
    finally:
        writer.close()
