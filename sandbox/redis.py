"""A real Redis-protocol server on a loopback port. It keeps nothing on disk: Redis is a cache here."""

import asyncio
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sandbox.binaries import find_redis
from sandbox.identity import hand_over, server_identity
from sandbox.ports import free_port
from sandbox.processes import ChildProcess, ProcessConfig, ProcessError
from sandbox.readiness import PORT_ATTEMPTS, PortTakenError, until_ready

PROBE_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class RedisConfig:
    """How to run it. `port` None: a free one; `log_path` None: in a directory that goes with the server.

    `settings` are lines of redis.conf, such as {"maxmemory": "10mb"}.
    """

    port: int | None = None
    log_path: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    start_timeout_s: float = 20.0


class RedisServer:
    """One server; the first `start` chooses the port, every later one uses it again."""

    def __init__(self, config: RedisConfig | None = None) -> None:
        self.config = config or RedisConfig()
        self._port = self.config.port
        self._directory: Path | None = None
        self._process: ChildProcess | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:  # also when cancelled half-way: nothing is left behind
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def port(self) -> int:
        """The loopback port it listens on."""
        if self._port is None:
            raise ProcessError("redis was not started")
        return self._port

    @property
    def url(self) -> str:
        """`redis://127.0.0.1:PORT/0`."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def process(self) -> ChildProcess:
        """The server's process, to pause, watch or read the log of."""
        if self._process is None:
            raise ProcessError("redis was not started")
        return self._process

    @property
    def pid(self) -> int:
        """The server's own process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.running

    async def start(self) -> None:
        """Start it empty, on the same port as before if it ran before.

        Raises:
            StartError: it did not come up; PortTakenError when its port is taken.
            MissingServerError: no server program is at hand.
        """
        if self.running:
            raise ProcessError(f"redis is already running (pid {self.pid})")
        for attempt in range(PORT_ATTEMPTS):
            port = self._port or free_port()
            try:
                await self._start_on(port)
            except PortTakenError:
                if self._port is not None or attempt + 1 == PORT_ATTEMPTS:
                    raise
            else:
                self._port = port
                return

    async def stop(self) -> None:
        """End it in order; `start` brings it back, empty, on the same port."""
        if self._process is not None:
            await self._process.stop()

    async def kill(self) -> None:
        """End it as a crash would."""
        await self.process.kill()

    async def restart(self) -> None:
        """Stop and start: the same port, no data."""
        await self.stop()
        await self.start()

    async def close(self) -> None:
        """Stop it and remove its directory."""
        try:
            await self.stop()
        finally:
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)
                self._directory = None

    async def _start_on(self, port: int) -> None:
        program, identity = find_redis(), server_identity()
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="billing-redis-"))
            hand_over(self._directory, identity)
        settings = {
            "bind": "127.0.0.1",
            "port": str(port),
            "save": "",
            "appendonly": "no",
            "dir": str(self._directory),
            "daemonize": "no",
            **self.config.settings,
        }
        argv = [str(program)]
        for name, value in settings.items():
            argv += [f"--{name}", value]
        log_path = self.config.log_path or self._directory / "redis.log"
        self._process = ChildProcess(
            ProcessConfig(name="redis", argv=tuple(argv), log_path=log_path, identity=identity)
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
